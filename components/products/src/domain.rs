//! The rules of the catalogue, pure.

/// Returns the margin over the cost in per cent, with two places; 0 when the cost is 0.
#[expect(clippy::cast_precision_loss, reason = "prices have at most ten digits")]
pub fn profit_margin(unit_cents: i64, cost_cents: i64) -> f64 {
    if cost_cents == 0 {
        return 0.0;
    }
    let percent = (unit_cents - cost_cents) as f64 / cost_cents as f64 * 100.0;
    (percent * 100.0).round() / 100.0
}

/// Says whether a name has only letters, digits, spaces and hyphens.
pub fn is_product_name(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || c == ' ' || c == '-')
}

/// Says whether a text is a NIT: nine digits, a hyphen, the check digit.
pub fn is_nit(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 11 && bytes.iter().enumerate().all(|(at, b)| if at == 9 { *b == b'-' } else { b.is_ascii_digit() })
}

/// Returns what a search looks into.
pub fn search_text(name: &str, sku: Option<&str>, description: Option<&str>) -> String {
    [Some(name), sku, description].into_iter().flatten().collect::<Vec<_>>().join("\n").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_a_share_of_the_cost() {
        assert!((profit_margin(4_500_000, 3_000_000) - 50.0).abs() < f64::EPSILON);
        assert!((profit_margin(100, 300) - -66.67).abs() < f64::EPSILON);
        assert!(profit_margin(100, 0).abs() < f64::EPSILON);
    }

    #[test]
    fn names_and_nits_are_as_the_contract_says() {
        assert!(is_product_name("Mascarilla N95") && is_product_name("Guantes-2") && is_product_name("Protección"));
        assert!(!is_product_name("a/b") && !is_product_name("a_b"));
        assert!(is_nit("900123456-7"));
        assert!(!is_nit("900123456") && !is_nit("90012345-67") && !is_nit("900123456-77") && !is_nit("90012345a-7"));
    }
}
