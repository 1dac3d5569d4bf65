//! How usual three bytes in a row are in what requests hold: prose, markup, names, JSON.
//!
//! The numbers are logarithms to the base of two. They only decide which bytes of a literal are
//! looked for first; nothing else depends on them.

/// How usual the three bytes of a literal at an offset are; before it and behind it may stand
/// anything.
pub(super) fn three(text: &[u8], offset: i16) -> i32 {
    let byte = |n: i16| usize::try_from(offset + n).ok().and_then(|at| text.get(at)).copied();
    match [byte(0), byte(1), byte(2)] {
        [Some(a), Some(b), Some(c)] => pair(a, b) + pair(b, c) - one(b),
        [Some(a), Some(b), None] | [None, Some(a), Some(b)] => pair(a, b),
        [Some(a), ..] | [_, Some(a), _] | [.., Some(a)] => one(a),
        _ => i32::MAX,
    }
}

fn pair(a: u8, b: u8) -> i32 {
    let (row, column) = (class(a), class(b));
    let rest = |class: usize, byte: u8| if class == OTHER { one(byte) - OTHERS } else { 0 };
    i32::from(PAIRS[row][column] - b'A') + rest(row, a) + rest(column, b)
}

fn one(b: u8) -> i32 {
    match class(b) {
        OTHER => match b {
            b'"' | b'0'..=b'1' | b'\n' => 15,
            b',' | b'-' | b'2' => 14,
            b':' | b'.' | b'/' | b'3'..=b'9' => 13,
            b'=' | b'[' | b']' | b'(' | b')' | b'_' => 12,
            b'|' | b'{' | b'}' | b'*' => 11,
            b'#' | b'>' | b'%' | b'<' | b';' | b'\'' | b'&' | b'+' => 10,
            _ => 8,
        },
        letter => i32::from(ONES[letter] - b'A'),
    }
}

/// The class of what is neither a letter nor a space.
const OTHER: usize = 27;

/// How usual that class is.
const OTHERS: i32 = 18;

fn class(b: u8) -> usize {
    match b {
        b'a'..=b'z' => usize::from(b - b'a'),
        b' ' => 26,
        _ => OTHER,
    }
}

/// Of each class.
const ONES: &[u8; 28] = b"QOPOQOOOPLMPOPPOLPPPOMNMNMRS";

/// Of each class behind each.
const PAIRS: [&[u8; 28]; 28] = [
    b"HLLLHKKHKGJMMMGKGMMMKJIHJGLM",
    b"KKGGKFGFKHEKGFJFFLIGLDEHJHHM",
    b"MFJHLGGLKFKKJKMHFKJLKHFFHFKL",
    b"KJHJMGIGLHGIHGLGEIJIJFFEHFMM",
    b"LJLMLKJHIEGLLMHKINNLJJJKIGNN",
    b"JHGHKJGCLEEJFHLEAKHIJDDHGIKK",
    b"IFIGLGHJKFEIJJJHEJJIJFFEGELL",
    b"LHDHMDDGLCFEHGKFAIHLJCEDHDKK",
    b"LKMKKKKEFFILKNMJGKMMHJEJDJJK",
    b"IDFGICCCGADDEEHGEDICHDDDAGDH",
    b"IEFFKHGFJEEGFIHFEFIGGFFDFEKK",
    b"LJHKMGHFMDGLIHLIAGKJKGGJKILM",
    b"LIHIMFIFKDFJJJKLFGJJJFFEHEKM",
    b"MGLMMJMIKFIIHILIBGLMKIGKIHMM",
    b"IIKKHLIGIHIKLNJLCMKKLKKGEFLL",
    b"LIGHLFIIJCHKHFLKCLKKJFEEIGJM",
    b"EABCFDCADAAHJHEDAADFJDEADAFI",
    b"MJJKNIKEMCJIJJLGDJLLKIHCKFMM",
    b"KHJGMGEKLDHJIHKJFIKNKIIEJDNN",
    b"LIJIMIENMCIJIFMKDLKLKEIIKFNN",
    b"JJJIKHJGKFFKKLGKELLLFEDHFGKK",
    b"KGFILCICKCBAEEHDCEFCCEAEBFHJ",
    b"KEEEKDFJLCFHJIJIFIIGECIDDAJJ",
    b"IGHFIDBFHDEDGBEIACGIEDDGEFJL",
    b"HFFEHDFCGEDHHHJJCGJIFDFCCELL",
    b"HLHIJCECGCEFFCKCBDFAFHBGFGGK",
    b"NMMLLMKLMIILLLMLIMMNLKMIJIQP",
    b"NMNLLLLLLJJMLMLLKLMLKKLJIMQS",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_is_less_than_usual() {
        for (rare, usual) in [("xec", "the"), ("://", "ing"), ("$(x", "(th"), ("zqx", "ion")] {
            assert!(three(rare.as_bytes(), 0) < three(usual.as_bytes(), 0), "{rare} {usual}");
        }
        // What may have anything beside it is more usual than what has a letter there.
        assert!(three(b"sel", 0) <= three(b"se", 0));
        assert!(three(b"se", -1) <= three(b"e", -1));
    }
}
