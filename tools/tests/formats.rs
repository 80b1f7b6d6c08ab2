//! Records as text.

use odradek_engine::record::{BatchBuilder, Headers, OpenBatch, Rules, validate};
use odradek_engine::types::Timestamp;
use odradek_tools::consume::{Format, Formatter, Row};
use serde_json::{Value, json};

fn row<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Row<'a> {
    Row {
        topic: "orders",
        partition: 3,
        offset: 42,
        timestamp: 1_700_000_000_000,
        key,
        value,
        headers: Headers::NONE,
    }
}

fn text(format: Format, separator: Option<&str>, row: &Row<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Formatter::new(format, separator)
        .write(&mut out, row)
        .expect("memory takes all");
    out
}

#[test]
fn plain_is_the_bytes_as_they_are() {
    let record = row(Some(b"k"), Some(b"\xff\0"));
    assert_eq!(text(Format::Plain, None, &record), b"\xff\0\n");
    assert_eq!(text(Format::Plain, Some("::"), &record), b"k::\xff\0\n");
    assert_eq!(text(Format::Plain, Some("\\t"), &record), b"k\t\xff\0\n");
    assert_eq!(text(Format::Plain, Some(":"), &row(None, None)), b":\n");
}

#[test]
fn hex_has_four_columns() {
    let record = row(None, Some(b"\x01\xab"));
    assert_eq!(text(Format::Hex, None, &record), b"3 42 - 01ab\n");
}

#[test]
fn json_tells_text_bytes_and_null_apart() {
    let read = |row: &Row<'_>| -> Value {
        serde_json::from_slice(&text(Format::Json, None, row)).expect("json")
    };
    let expected = |key: Value, value: Value| {
        json!({
            "topic": "orders", "partition": 3, "offset": 42, "timestamp": 1_700_000_000_000_i64,
            "key": key, "value": value,
        })
    };
    assert_eq!(
        read(&row(None, Some("ä\"\n".as_bytes()))),
        expected(Value::Null, json!("ä\"\n"))
    );
    assert_eq!(
        read(&row(Some(b"\xff\x00"), None)),
        expected(json!({"hex": "ff00"}), Value::Null)
    );
}

#[test]
fn json_lists_headers_in_their_order() {
    let headers: [(&[u8], Option<&[u8]>); 3] =
        [(b"b", Some(b"1")), (b"a", None), (b"b", Some(b"\xfe"))];
    let mut builder = BatchBuilder::new();
    builder
        .append(Timestamp(7), None, Some(b"v"), &headers)
        .unwrap();
    let batch = builder.build().unwrap();
    let info = validate(&batch, &Rules::LOG).unwrap();
    let mut scratch = Vec::new();
    let open = OpenBatch::open(&batch, info, &mut scratch).unwrap();
    let record = open.records().next().unwrap().unwrap();
    let mut row = row(record.key, record.value);
    row.headers = record.headers;
    let found: Value = serde_json::from_slice(&text(Format::Json, None, &row)).unwrap();
    assert_eq!(
        found["headers"],
        json!([
            {"key": "b", "value": "1"},
            {"key": "a", "value": null},
            {"key": "b", "value": {"hex": "fe"}},
        ])
    );
}
