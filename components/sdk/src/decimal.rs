//! Whole numbers in decimal, written into a place without the machinery of `fmt`.

/// Fills a place with a number, with leading zeros; what does not fit is cut off at the front.
pub(crate) fn fill(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = last_digit(number);
        number /= 10;
    }
}

/// Writes a number at the end of a place and returns where it starts; 20 bytes hold every number.
///
/// # Panics
/// When the place is too small.
pub(crate) fn end(place: &mut [u8], mut number: u64) -> usize {
    let mut start = place.len();
    loop {
        start -= 1;
        place[start] = last_digit(number);
        number /= 10;
        if number == 0 {
            return start;
        }
    }
}

fn last_digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_filled_with_zeros_in_front() {
        let mut place = *b"xxxx";
        fill(&mut place, 70);
        assert_eq!(&place, b"0070");
        fill(&mut place, 123_456);
        assert_eq!(&place, b"3456");
    }

    #[test]
    fn numbers_end_where_the_place_does() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            let mut place = [0; 20];
            let start = end(&mut place, number);
            assert_eq!(place[start..], *number.to_string().as_bytes());
        }
    }
}
