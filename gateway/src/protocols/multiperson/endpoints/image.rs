//! Pictures of people and blocks. The clients take a row without one for a person who is logged out, so each has one; it is
//! in the row itself, so that nothing has to be fetched.

/// A disc in a colour that follows from `id`, as a `data:` URL.
pub(super) fn image(id: u64) -> String {
    // Steps of the golden angle: neighbours differ most.
    let hue = id.wrapping_mul(137) % 360;
    format!(
        "data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20viewBox='0%200%202%202'%3E\
         %3Ccircle%20cx='1'%20cy='1'%20r='1'%20fill='hsl({hue}%2055%25%2060%25)'/%3E%3C/svg%3E"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_have_different_pictures_and_each_is_a_url_without_spaces_to_escape() {
        assert_ne!(image(2), image(3));
        assert_eq!(image(2), image(2));
        for id in [0, 1, u64::MAX] {
            let url = image(id);
            assert!(url.starts_with("data:image/svg+xml,%3Csvg%20") && url.ends_with("%3C/svg%3E"), "{url}");
            assert!(!url.contains(['"', '<', '>', '#', ' ']), "{url}");
        }
    }
}
