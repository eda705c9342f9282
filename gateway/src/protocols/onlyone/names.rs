//! English names for people who have not chosen one.

const FIRST: [&str; 64] = [
    "Ada", "Alma", "Amos", "Anna", "Arlo", "Beth", "Bruno", "Cara", "Cecil", "Clara", "Colin", "Cora", "Dale", "Daisy",
    "Dora", "Edgar", "Edith", "Elsie", "Emil", "Emma", "Esther", "Felix", "Fiona", "Flora", "Frank", "Gina", "Grace",
    "Gus", "Hazel", "Helen", "Henry", "Hugo", "Ida", "Iris", "Ivan", "Jane", "Jasper", "Joan", "Jonas", "Julia",
    "Karl", "Kate", "Laura", "Leo", "Lena", "Lucas", "Lydia", "Mabel", "Mark", "Maud", "Miles", "Nora", "Oscar",
    "Owen", "Paula", "Peter", "Rosa", "Ruth", "Simon", "Stella", "Theo", "Vera", "Viola", "Walter",
];

const LAST: [&str; 64] = [
    "Abbott", "Archer", "Baker", "Barnes", "Bell", "Bishop", "Brook", "Carter", "Chase", "Clay", "Cole", "Cooper",
    "Cross", "Dale", "Dawson", "Drake", "Ellis", "Farmer", "Field", "Finch", "Fisher", "Ford", "Foster", "Fox",
    "Gardner", "Glover", "Grant", "Green", "Hale", "Harper", "Hart", "Hill", "Holt", "Hunter", "Kerr", "Lake", "Lane",
    "Marsh", "Mason", "Mercer", "Mills", "Moss", "Nash", "North", "Page", "Parker", "Pearce", "Porter", "Quill",
    "Reed", "Rivers", "Rowe", "Sawyer", "Shaw", "Stone", "Swift", "Taylor", "Thorne", "Turner", "Vance", "Wade",
    "Ward", "Webb", "Wells",
];

/// A first and a last name, chosen by two bytes.
pub(super) fn full_name(first: u8, last: u8) -> String {
    format!("{} {}", FIRST[usize::from(first) % FIRST.len()], LAST[usize::from(last) % LAST.len()])
}
