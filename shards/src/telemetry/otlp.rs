//! The values in a message of OpenTelemetry's protocol: `MetricsData` of metrics.proto, version 1.
//!
//! Read in one go, nothing kept: types generated from the schema would take up to a hundred times
//! the bytes of a message that is made for that. Values of gauges and sums, which is all that
//! Kafka's clients push; points of other kinds are told without a value.

use std::fmt::Write;

use protobuf::CodedInputStream;

/// Of a metric's name; a longer one is cut.
const NAME_BYTES_MAX: usize = 200;
/// Of the attributes of a point together; what does not fit is left out.
const ATTRIBUTES_BYTES_MAX: usize = 400;

/// A message is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub(super) String);

/// A value at a point of time.
#[derive(Debug, PartialEq)]
pub(super) struct Point<'a> {
    pub metric: &'a str,
    /// Of the resource, then of the point: `name=value`, comma between.
    pub attributes: &'a str,
    /// To be added to the last.
    pub is_delta: bool,
    /// None of a kind that is not shown.
    pub value: Option<f64>,
}

type Read = Result<(), Malformed>;

/// Tells each point.
///
/// # Errors
/// Where the message is none; the points before were told.
pub(super) fn read(message: &[u8], each: &mut dyn FnMut(Point<'_>)) -> Read {
    const RESOURCE_METRICS: u32 = 1;
    fields(message, |number, value| match (number, value) {
        (RESOURCE_METRICS, Value::Bytes(bytes)) => resource(bytes, each),
        _ => Ok(()),
    })
}

fn resource(message: &[u8], each: &mut dyn FnMut(Point<'_>)) -> Read {
    const RESOURCE: u32 = 1;
    const SCOPE_METRICS: u32 = 2;
    const ATTRIBUTES: u32 = 1;
    const METRICS: u32 = 2;
    // The resource may come behind its metrics.
    let mut of_resource = String::new();
    fields(message, |number, value| match (number, value) {
        (RESOURCE, Value::Bytes(bytes)) => fields(bytes, |number, value| match (number, value) {
            (ATTRIBUTES, Value::Bytes(bytes)) => attribute(bytes, &mut of_resource),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })?;
    fields(message, |number, value| match (number, value) {
        (SCOPE_METRICS, Value::Bytes(bytes)) => {
            fields(bytes, |number, value| match (number, value) {
                (METRICS, Value::Bytes(bytes)) => metric(bytes, &of_resource, each),
                _ => Ok(()),
            })
        }
        _ => Ok(()),
    })
}

fn metric(message: &[u8], of_resource: &str, each: &mut dyn FnMut(Point<'_>)) -> Read {
    const NAME: u32 = 1;
    const GAUGE: u32 = 5;
    const SUM: u32 = 7;
    const OTHERS: std::ops::RangeInclusive<u32> = 9..=11;
    let mut name = "";
    fields(message, |number, value| match (number, value) {
        (NAME, Value::Bytes(bytes)) => {
            name = cut(text(bytes)?, NAME_BYTES_MAX);
            Ok(())
        }
        _ => Ok(()),
    })?;
    fields(message, |number, value| match (number, value) {
        (GAUGE | SUM, Value::Bytes(bytes)) => points(bytes, (name, of_resource), each),
        (number, Value::Bytes(_)) if OTHERS.contains(&number) => {
            each(Point {
                metric: name,
                attributes: "",
                is_delta: false,
                value: None,
            });
            Ok(())
        }
        _ => Ok(()),
    })
}

/// Of a gauge or a sum.
fn points(
    message: &[u8],
    (metric, of_resource): (&str, &str),
    each: &mut dyn FnMut(Point<'_>),
) -> Read {
    const DATA_POINTS: u32 = 1;
    const TEMPORALITY: u32 = 2;
    const DELTA: u64 = 1;
    const AS_DOUBLE: u32 = 4;
    const AS_INT: u32 = 6;
    const ATTRIBUTES: u32 = 7;
    let mut is_delta = false;
    fields(message, |number, value| {
        if let (TEMPORALITY, Value::Varint(temporality)) = (number, value) {
            is_delta = temporality == DELTA;
        }
        Ok(())
    })?;
    let mut attributes = String::new();
    fields(message, |number, value| {
        let (DATA_POINTS, Value::Bytes(point)) = (number, value) else {
            return Ok(());
        };
        attributes.clear();
        attributes.push_str(of_resource);
        let mut found = None;
        fields(point, |number, value| {
            match (number, value) {
                (AS_DOUBLE, Value::Fixed64(bits)) => found = Some(f64::from_bits(bits)),
                (AS_INT, Value::Fixed64(bits)) => found = Some(bits as i64 as f64),
                (ATTRIBUTES, Value::Bytes(bytes)) => attribute(bytes, &mut attributes)?,
                _ => {}
            }
            Ok(())
        })?;
        each(Point {
            metric,
            attributes: &attributes,
            is_delta,
            value: found,
        });
        Ok(())
    })
}

/// Appends an attribute, if it fits.
fn attribute(message: &[u8], out: &mut String) -> Read {
    const KEY: u32 = 1;
    const VALUE: u32 = 2;
    const STRING: u32 = 1;
    const BOOL: u32 = 2;
    const INT: u32 = 3;
    const DOUBLE: u32 = 4;
    let before = out.len();
    if before > 0 {
        out.push(',');
    }
    fields(message, |number, value| {
        if let (KEY, Value::Bytes(bytes)) = (number, value) {
            out.push_str(cut(text(bytes)?, ATTRIBUTES_BYTES_MAX));
        }
        Ok(())
    })?;
    out.push('=');
    fields(message, |number, value| match (number, value) {
        (VALUE, Value::Bytes(bytes)) => fields(bytes, |number, value| {
            let written = match (number, value) {
                (STRING, Value::Bytes(bytes)) => {
                    out.push_str(cut(text(bytes)?, ATTRIBUTES_BYTES_MAX));
                    Ok(())
                }
                (BOOL, Value::Varint(value)) => write!(out, "{}", value != 0),
                (INT, Value::Varint(value)) => write!(out, "{}", value as i64),
                (DOUBLE, Value::Fixed64(bits)) => write!(out, "{}", f64::from_bits(bits)),
                _ => Ok(()),
            };
            written.expect("a string takes it");
            Ok(())
        }),
        _ => Ok(()),
    })?;
    if out.len() > ATTRIBUTES_BYTES_MAX {
        out.truncate(before);
    }
    Ok(())
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|error| Malformed(error.to_string()))
}

/// A field's value.
#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

/// Tells the fields of a message, in order.
fn fields<'a>(message: &'a [u8], mut each: impl FnMut(u32, Value<'a>) -> Read) -> Read {
    const VARINT: u32 = 0;
    const FIXED_64: u32 = 1;
    const BYTES: u32 = 2;
    const FIXED_32: u32 = 5;
    let malformed = |error: protobuf::Error| Malformed(error.to_string());
    let mut input = CodedInputStream::from_bytes(message);
    while let Some(tag) = input.read_raw_tag_or_eof().map_err(malformed)? {
        let value = match tag & 7 {
            VARINT => Value::Varint(input.read_raw_varint64().map_err(malformed)?),
            FIXED_64 => Value::Fixed64(input.read_fixed64().map_err(malformed)?),
            FIXED_32 => {
                input.read_fixed32().map_err(malformed)?;
                Value::Fixed32
            }
            BYTES => {
                let length = input.read_raw_varint32().map_err(malformed)?;
                let start = input.pos() as usize;
                input.skip_raw_bytes(length).map_err(malformed)?;
                Value::Bytes(&message[start..input.pos() as usize])
            }
            other => return Err(Malformed(format!("wire type {other}"))),
        };
        each(tag >> 3, value)?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use protobuf::CodedOutputStream;

    use super::*;

    fn message(write: impl FnOnce(&mut CodedOutputStream<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut out = CodedOutputStream::vec(&mut bytes);
        write(&mut out);
        out.flush().unwrap();
        drop(out);
        bytes
    }

    fn nested(number: u32, inner: &[u8]) -> Vec<u8> {
        message(|out| out.write_bytes(number, inner).unwrap())
    }

    fn key_value(key: &str, value: &[u8]) -> Vec<u8> {
        message(|out| {
            out.write_string(1, key).unwrap();
            out.write_bytes(2, value).unwrap();
        })
    }

    fn string(text: &str) -> Vec<u8> {
        message(|out| out.write_string(1, text).unwrap())
    }

    fn data(name: &str, kind: u32, points: &[u8]) -> Vec<u8> {
        let metric = message(|out| {
            // Behind its points: the order is the writer's.
            out.write_bytes(kind, points).unwrap();
            out.write_string(1, name).unwrap();
        });
        let scope = nested(2, &metric);
        let resource = nested(1, &key_value("client.rack", &string("r1")));
        let mut of_resource = nested(2, &scope);
        if kind == 9 {
            of_resource.extend(nested(1, &resource));
        }
        nested(1, &of_resource)
    }

    /// A gauge of one point.
    pub fn gauge(name: &str, attributes: &[(&str, &str)], value: f64) -> Vec<u8> {
        let point = message(|out| {
            out.write_fixed64(3, 17).unwrap();
            out.write_double(4, value).unwrap();
            for (key, value) in attributes {
                out.write_bytes(7, &key_value(key, &string(value))).unwrap();
            }
        });
        data(name, 5, &nested(1, &point))
    }

    /// A sum of one point.
    pub fn sum(name: &str, is_delta: bool, value: f64) -> Vec<u8> {
        let point = message(|out| out.write_sfixed64(6, value as i64).unwrap());
        let points = message(|out| {
            out.write_bytes(1, &point).unwrap();
            out.write_enum(2, if is_delta { 1 } else { 2 }).unwrap();
            out.write_bool(3, true).unwrap();
        });
        data(name, 7, &points)
    }

    /// As a [`Point`].
    type Told = (String, String, bool, Option<f64>);

    fn told(message: &[u8]) -> Result<Vec<Told>, Malformed> {
        let mut all = Vec::new();
        read(message, &mut |point| {
            let Point {
                metric,
                attributes,
                is_delta,
                value,
            } = point;
            all.push((metric.to_owned(), attributes.to_owned(), is_delta, value));
        })?;
        Ok(all)
    }

    #[test]
    fn gauges_and_sums_are_told_and_others_are_counted() {
        let point = |name: &str, attributes: &str, is_delta, value| {
            (name.to_owned(), attributes.to_owned(), is_delta, value)
        };
        let mut all = gauge("g", &[("a", "1"), ("b", "x y")], 1.5);
        all.extend(sum("s", true, -7.0));
        all.extend(data("h", 9, &[]));
        assert_eq!(
            told(&all),
            Ok(vec![
                point("g", "a=1,b=x y", false, Some(1.5)),
                point("s", "", true, Some(-7.0)),
                point("h", "", false, None),
            ])
        );
        assert_eq!(told(&[]), Ok(vec![]));
    }

    #[test]
    fn every_prefix_and_every_flipped_bit_is_read_or_refused() {
        let whole = gauge("metric", &[("key", "value")], 2.0);
        for end in 0..whole.len() {
            let _ = told(&whole[..end]);
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[end] ^= 1 << bit;
                let _ = told(&flipped);
            }
        }
        assert!(told(&whole[..whole.len() - 1]).is_err());
        // A length that is not there.
        assert!(told(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
        // A group.
        assert!(told(&[0x0b]).is_err());
    }

    #[test]
    fn long_names_are_cut_and_attributes_that_do_not_fit_left_out() {
        let name = "ä".repeat(NAME_BYTES_MAX);
        let long = "v".repeat(ATTRIBUTES_BYTES_MAX);
        let all = told(&gauge(&name, &[("a", "1"), ("b", &long), ("c", "3")], 1.0)).unwrap();
        assert_eq!(all[0].0.len(), NAME_BYTES_MAX);
        assert_eq!(all[0].1, "a=1,c=3");
    }
}
