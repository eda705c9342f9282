//! The passwords of a managed Redis: one that everybody presents, and while it changes a second that servers let in too.
//!
//! ```text
//! settled ──► Next: servers learn to let both in ──► Former: clients read the new one ──► Retired: servers forget the old one
//! ```
//!
//! Decides which passwords a server is to let in, and reads which it does. Never shows one: what the planner sees are yeses and
//! noes. Where a rotation is, is kept in the generated Secret and in the servers themselves, never in the operator.

use std::fmt;

use parlor_crds::contract::hex;
use sha2::{Digest, Sha256};

/// What the second password is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// Becomes the password once every server lets it in.
    Next,
    /// Was the password, and is let in until every gateway has read the current one.
    Former,
    /// Was the password. No server lets it in, unless it was started with an old file: then it is the way to tell it.
    Retired,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The password that clients and replicas present.
    Current,
    /// The second one.
    Second,
}

/// The password, and the second one if there is any.
#[derive(Clone, PartialEq, Eq)]
pub struct Passwords {
    /// What clients and replicas present.
    pub current: String,
    /// Another one.
    pub second: Option<(Second, String)>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords")
            .field("second", &self.second.as_ref().map(|(second, _)| second))
            .finish_non_exhaustive()
    }
}

/// What a server does about passwords, as it says itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doors {
    /// It asks nobody for a password.
    pub open: bool,
    /// It does not let the current password in.
    pub lacks_current: bool,
    /// It is to let the second password in, and does not.
    pub lacks_second: bool,
    /// It lets the retired password in.
    pub lets_retired_in: bool,
    /// What it presents to its primary is not the current password.
    pub presents_another: bool,
}

impl Passwords {
    /// A password that does not change.
    pub fn settled(current: &str) -> Self {
        Self { current: current.to_owned(), second: None }
    }

    /// The one that is asked for.
    pub fn get(&self, which: Which) -> Option<&str> {
        match which {
            Which::Current => Some(&self.current),
            Which::Second => self.second.as_ref().map(|(_, password)| password.as_str()),
        }
    }

    /// What a server that starts now lets in and presents: the file that its configuration includes.
    pub fn file(&self) -> String {
        let Self { current, second } = self;
        match second {
            None | Some((Second::Retired, _)) => format!("requirepass {current}\nmasterauth {current}\n"),
            Some((Second::Next | Second::Former, second)) => {
                let (one, other) = (hash(current), hash(second));
                format!("user default on #{one} #{other} ~* &* +@all\nmasterauth {current}\n")
            }
        }
    }

    /// Reads what a server does from its `ACL LIST` and the `masterauth` of its configuration.
    pub fn doors(&self, acl: &[Vec<u8>], presented: &str) -> Doors {
        let lines = acl.iter().map(|line| String::from_utf8_lossy(line));
        let rules =
            lines.filter_map(|line| line.strip_prefix("user default ").map(str::to_owned)).next().unwrap_or_default();
        let lets_in = |password: &str| rules.split(' ').any(|rule| rule.strip_prefix('#') == Some(&*hash(password)));
        Doors {
            open: rules.split(' ').any(|rule| rule == "nopass"),
            lacks_current: !lets_in(&self.current),
            lacks_second: self
                .second
                .as_ref()
                .is_some_and(|(kind, second)| *kind != Second::Retired && !lets_in(second)),
            lets_retired_in: self
                .second
                .as_ref()
                .is_some_and(|(kind, second)| *kind == Second::Retired && lets_in(second)),
            presents_another: presented != self.current,
        }
    }
}

/// As Redis writes it in its list of users.
fn hash(password: &str) -> String {
    hex(&Sha256::digest(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_starts_in_the_middle_lets_both_passwords_in_and_never_shows_one() {
        let mut passwords = Passwords { second: Some((Second::Next, "new".into())), ..Passwords::settled("old") };
        let file = passwords.file();
        assert!(
            file.contains(&hash("old")) && file.contains(&hash("new")) && file.ends_with("masterauth old\n"),
            "{file}"
        );
        assert!(!format!("{passwords:?}").contains("old"));
        passwords.second = Some((Second::Retired, "older".into()));
        assert_eq!(passwords.file(), "requirepass old\nmasterauth old\n");
    }

    #[test]
    fn what_a_server_does_is_read_from_its_list_of_users() {
        let mut passwords = Passwords { second: Some((Second::Former, "old".into())), ..Passwords::settled("new") };
        let line = |rules: &str| {
            vec![b"user other on nopass".to_vec(), format!("user default on {rules} ~* &* +@all").into_bytes()]
        };
        let both = format!("sanitize-payload #{} #{}", hash("old"), hash("new"));
        assert_eq!(passwords.doors(&line(&both), "new"), Doors::default());
        let stale = passwords.doors(&line(&format!("#{}", hash("old"))), "old");
        assert_eq!(stale, Doors { lacks_current: true, presents_another: true, ..Doors::default() });
        assert!(passwords.doors(&line(&format!("#{}", hash("new"))), "new").lacks_second);
        assert!(passwords.doors(&line("nopass"), "").open);
        passwords.second = Some((Second::Retired, "old".into()));
        assert_eq!(passwords.doors(&line(&both), "new"), Doors { lets_retired_in: true, ..Doors::default() });
    }
}
