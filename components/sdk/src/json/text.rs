//! Texts and whole numbers of JSON.

use crate::decimal;

/// Writes a text in quotes.
#[inline(never)] // It would be there once for each field of each type.
pub(super) fn quoted(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    for word in words {
        if is_plain(*word) {
            out.extend_from_slice(word);
        } else {
            word.iter().for_each(|byte| escaped(out, *byte));
        }
    }
    rest.iter().for_each(|byte| escaped(out, *byte));
    out.push(b'"');
}

/// Says whether none of eight bytes has to be escaped.
fn is_plain(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let word = u64::from_le_bytes(bytes);
    // In each byte the highest bit says whether that byte is below a bound; see "Bit Twiddling Hacks", `hasless`.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & (ONES * 0x80);
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) == 0
}

fn escaped(out: &mut Vec<u8>, byte: u8) {
    if byte >= 0x20 && byte != b'"' && byte != b'\\' {
        out.push(byte);
    } else {
        escape(out, byte);
    }
}

#[cold]
fn escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let letter = match byte {
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        0..0x20 => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
        _ => byte,
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Writes a whole number.
#[inline(never)] // As above.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    let mut place = [0; 20];
    let start = decimal::end(&mut place, number);
    // One by one, as a copy of a length that the compiler does not know is a call.
    place[start..].iter().for_each(|digit| out.push(*digit));
}
