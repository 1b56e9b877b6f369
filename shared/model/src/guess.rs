//! Names that are nearly right.

use strsim::normalized_levenshtein;

/// From which likeness on, in thousandths, a name may have been meant.
const LIKE: u32 = 500;

/// `did you mean 'name'? `, or nothing where no known name is like this one.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(name, known).map(|known| format!("did you mean '{known}'? ")).unwrap_or_default()
}

/// The known name that is most like this one, if one is like it.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let likeness = |known: &str| (normalized_levenshtein(&name, &known.to_lowercase()) * 1000.0) as u32;
    let alike = known.into_iter().map(|known| (likeness(known), known)).filter(|(likeness, _)| *likeness >= LIKE);
    alike.max().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_right_is_guessed() {
        let told = |name| did_you_mean(name, ["customer_spend", "country_sales"]);
        assert_eq!(told("contry_sales"), "did you mean 'country_sales'? ");
        assert_eq!(told("Customer_Spent"), "did you mean 'customer_spend'? ");
        assert_eq!(told("xyz"), "");
    }
}
