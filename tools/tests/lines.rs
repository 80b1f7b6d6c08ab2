//! Lines out of pipes and files, and keys out of lines.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use odradek_tools::produce::{Line, Lines, Split};
use proptest::prelude::*;

fn all(input: OwnedFd) -> Vec<(u64, Vec<u8>)> {
    let mut lines = Lines::new(input);
    let mut found = Vec::new();
    loop {
        let more = lines.fill(None).expect("readable");
        while let Some((number, line)) = lines.next_line() {
            found.push((number, line.to_vec()));
        }
        if !more {
            return found;
        }
    }
}

fn file(bytes: &[u8]) -> OwnedFd {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    file.reopen().expect("reopened").into()
}

fn numbered(lines: &[&[u8]]) -> Vec<(u64, Vec<u8>)> {
    (1..).zip(lines.iter().map(|line| line.to_vec())).collect()
}

#[test]
fn lines_end_at_line_feeds_and_at_the_end() {
    assert_eq!(all(file(b"")), numbered(&[]));
    assert_eq!(all(file(b"\n")), numbered(&[b""]));
    assert_eq!(
        all(file(b"a\n\nb\r\nc")),
        numbered(&[b"a", b"", b"b\r", b"c"])
    );
    assert_eq!(all(file(b"\xff\0\n")), numbered(&[b"\xff\0"]));
}

#[test]
fn a_line_may_be_longer_than_the_buffer() {
    let long = vec![b'x'; 5 << 20];
    let mut input = b"first\n".to_vec();
    input.extend(&long);
    input.extend(b"\nlast");
    assert_eq!(all(file(&input)), numbered(&[b"first", &long, b"last"]));
}

#[test]
fn a_wait_for_input_is_bounded() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut lines = Lines::new(reader.into());
    assert!(lines.fill(Some(Duration::from_millis(1))).unwrap());
    assert!(lines.next_line().is_none());
    writer.write_all(b"half a ").unwrap();
    assert!(lines.fill(None).unwrap());
    assert!(lines.next_line().is_none(), "no line yet");
    writer.write_all(b"line\nrest").unwrap();
    assert!(lines.fill(None).unwrap());
    assert_eq!(lines.next_line(), Some((1, &b"half a line"[..])));
    assert!(lines.next_line().is_none());
    drop(writer);
    assert!(!lines.fill(None).unwrap());
    assert_eq!(lines.next_line(), Some((2, &b"rest"[..])));
    assert!(lines.next_line().is_none());
    assert_eq!(lines.bytes_read(), 16);
}

#[test]
fn keys_stand_before_the_first_separator() {
    let split = Split {
        key_separator: Some(b"::"),
        null_marker: Some(b"NULL"),
    };
    let line = |key, value| Line { key, value };
    let read = |text: &'static [u8]| split.line(text).unwrap();
    assert_eq!(read(b"k::v::w"), line(Some(&b"k"[..]), Some(&b"v::w"[..])));
    assert_eq!(read(b"::v"), line(Some(&b""[..]), Some(&b"v"[..])));
    assert_eq!(read(b"k::NULL"), line(Some(&b"k"[..]), None));
    assert_eq!(read(b"NULL::v"), line(None, Some(&b"v"[..])));
    let error = split.line(b"k:v").unwrap_err();
    assert!(error.to_string().contains("\"::\""), "{error}");
    let plain = Split::default().line(b"k::v").unwrap();
    assert_eq!(plain, line(None, Some(&b"k::v"[..])));
}

proptest! {
    #[test]
    fn lines_are_what_lies_between_line_feeds(text in "[ab\n]{0,200}") {
        let mut expected: Vec<&[u8]> = text.as_bytes().split(|&byte| byte == b'\n').collect();
        // Behind the last line feed there is a line only if there is something.
        expected.pop_if(|last| last.is_empty());
        prop_assert_eq!(all(file(text.as_bytes())), numbered(&expected));
    }
}
