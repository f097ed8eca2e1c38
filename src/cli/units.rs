//! Quantities as people read them.

/// Microseconds: `12 us`, `3.45 ms`, `1.20 s`.
pub fn time(us: f64) -> String {
    match us.abs() {
        t if t < 1e3 => format!("{} us", three_digits(us)),
        t if t < 1e6 => format!("{} ms", three_digits(us / 1e3)),
        _ => format!("{} s", three_digits(us / 1e6)),
    }
}

/// Seconds that a part of the work took: `0.12 s`, `83 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.0} s") }
}

/// Bytes in decimal units: `512 B`, `46.8 MB`.
pub fn bytes(bytes: f64) -> String {
    format!("{}B", scaled(bytes))
}

/// A count in decimal units: `960`, `1.82 G`.
pub fn count(count: f64) -> String {
    scaled(count).trim_end().to_owned()
}

/// What became of a quantity: `-25.0 %`; empty if it did not change.
pub fn change(before: f64, after: f64) -> String {
    if before == after || before == 0.0 {
        return String::new();
    }
    let percent = (after / before - 1.0) * 100.0;
    // What rounds to nothing is shown as nothing, without a sign.
    if percent.abs() < 0.05 { String::new() } else { format!("{percent:+.1} %") }
}

/// A number of a JSON document; what JSON has no number for is a text.
pub fn json_number(value: f64) -> serde_json::Value {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}

/// The first few of some texts, and how many more there are.
pub fn some_of<T: AsRef<str>>(items: &[T], few: usize) -> String {
    let shown: Vec<&str> = items.iter().take(few).map(AsRef::as_ref).collect();
    match items.len().saturating_sub(few) {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

fn scaled(value: f64) -> String {
    const PREFIXES: [&str; 6] = ["", "k", "M", "G", "T", "P"];
    let mut rest = value;
    let mut prefix = 0;
    while rest.abs() >= 999.5 && prefix + 1 < PREFIXES.len() {
        rest /= 1e3;
        prefix += 1;
    }
    let digits = if prefix == 0 { format!("{rest:.0}") } else { three_digits(rest) };
    format!("{digits} {}", PREFIXES[prefix])
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_three_digits_and_a_unit() {
        assert_eq!([time(3.0), time(999.4), time(12_345.0), time(2e6)], ["3.00 us", "999 us", "12.3 ms", "2.00 s"]);
        assert_eq!([bytes(12.0), bytes(46_830_000.0)], ["12 B", "46.8 MB"]);
        assert_eq!([count(960.0), count(999.9), count(1.82e9)], ["960", "1.00 k", "1.82 G"]);
        assert_eq!(
            [change(4.0, 3.0), change(4.0, 4.0), change(0.0, 3.0), change(1e6, 1e6 + 1.0)],
            ["-25.0 %", "", "", ""]
        );
        assert_eq!([json_number(1.5).to_string(), json_number(f64::INFINITY).to_string()], ["1.5", "\"inf\""]);
        assert_eq!([some_of(&["a", "b"], 2), some_of(&["a", "b", "c"], 2)], ["a; b", "a; b; and 1 more"]);
        assert_eq!([seconds(0.123), seconds(83.2)], ["0.12 s", "83 s"]);
    }
}
