//! Numbers as people write them: `50k`, `1.5M`, `16KiB`, `5ms`.

use std::time::Duration;

/// `number` followed by one of `units`.
fn scaled(text: &str, units: &[(&str, f64)], example: &str) -> Result<f64, String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number
        .replace('_', "")
        .parse()
        .map_err(|_| format!("{text:?} is not a number such as {example}"))?;
    let unit = unit.trim();
    let factor = units.iter().find(|(name, _)| *name == unit);
    let (_, factor) = factor.ok_or_else(|| {
        let known: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
        format!("{text:?}: the unit {unit:?} is none of {known:?}, as in {example}")
    })?;
    Ok(number * factor)
}

/// Messages per second: `800`, `50k`, `1.5M`.
pub fn rate_of(text: &str) -> Result<f64, String> {
    let units = [("", 1.0), ("k", 1e3), ("K", 1e3), ("M", 1e6)];
    let rate = scaled(text, &units, "50k")?;
    if rate > 0.0 && rate <= 1e9 {
        Ok(rate)
    } else {
        Err(format!(
            "{text:?}: a rate lies above 0 and at 1000M at most"
        ))
    }
}

/// Bytes: `100`, `16KiB`, `1MiB`, `16k` (1024 each).
pub fn bytes_of(text: &str) -> Result<usize, String> {
    let units = [
        ("", 1.0),
        ("B", 1.0),
        ("k", 1024.0),
        ("KiB", 1024.0),
        ("M", 1048576.0),
        ("MiB", 1048576.0),
        ("GiB", 1073741824.0),
    ];
    let bytes = scaled(text, &units, "16KiB")?;
    if bytes <= 2_147_483_647.0 {
        Ok(bytes as usize)
    } else {
        Err(format!("{text:?}: at most 2 GiB"))
    }
}

/// A time: `0`, `500us`, `5ms`, `30s`, `2m`. A bare number is milliseconds, as in Kafka's settings.
pub fn duration_of(text: &str) -> Result<Duration, String> {
    let units = [
        ("", 1e-3),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let seconds = scaled(text, &units, "5ms")?;
    if seconds <= 86_400.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("{text:?}: at most a day"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        assert_eq!(rate_of("50k"), Ok(50_000.0));
        assert_eq!(rate_of("1.5M"), Ok(1_500_000.0));
        assert_eq!(rate_of("1_000"), Ok(1_000.0));
        assert_eq!(bytes_of("16KiB"), Ok(16_384));
        assert_eq!(bytes_of("100"), Ok(100));
        assert_eq!(duration_of("5ms"), Ok(Duration::from_millis(5)));
        assert_eq!(duration_of("5"), Ok(Duration::from_millis(5)));
        assert_eq!(duration_of("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(duration_of("2m"), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for text in ["", "fast", "-5", "5 parsecs", "0", "9999M", "1.2.3"] {
            let error = rate_of(text).unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        assert!(bytes_of("3GiB").is_err());
        assert!(duration_of("2days").is_err());
    }
}
