//! Learning curves as a picture.

use plotters::prelude::*;
use serde_json::{Map, Value};

/// What is drawn: the key of the metrics, and what it means.
const PANELS: [(&str, &str); 6] = [
    ("charts/episodic_return", "return of an episode: log(initial / best cost)"),
    ("charts/regret", "log(best cost of an episode / best known)"),
    ("losses/entropy", "entropy (rule and place, each as a share)"),
    ("losses/approx_kl", "approximate KL divergence of an update"),
    ("losses/explained_variance", "variance of the returns that the value explains"),
    ("charts/SPS", "steps a second"),
];

/// Width and height of a panel in pixels.
const PANEL: (u32, u32) = (420, 220);

/// The curves of a run as SVG, one panel a metric, over the steps of all environments.
pub fn draw(rows: &[(u64, Map<String, Value>)]) -> String {
    let mut text = String::new();
    {
        let (width, height) = (2 * PANEL.0, 3 * PANEL.1);
        let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        // Writing to a string does not fail.
        let _ = area.fill(&WHITE);
        for (panel, (key, title)) in area.split_evenly((3, 2)).iter().zip(PANELS) {
            let point = |row: &(u64, Map<String, Value>)| Some((row.0 as f64, row.1.get(key)?.as_f64()?));
            let points: Vec<(f64, f64)> = rows.iter().filter_map(point).collect();
            let _ = curve(panel, title, &points);
        }
        let _ = area.present();
    }
    text
}

fn curve<'a, B: DrawingBackend + 'a>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    title: &str,
    points: &[(f64, f64)],
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let range = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        match low.is_finite() && high.is_finite() {
            true if low < high => low..high,
            true => low - 0.5..low + 0.5,
            false => 0.0..1.0,
        }
    };
    let xs = range(&mut points.iter().map(|p| p.0));
    let ys = range(&mut points.iter().map(|p| p.1));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(xs, ys)?;
    chart.configure_mesh().light_line_style(WHITE).x_labels(5).y_labels(5).draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), &BLUE))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_panel_is_there_with_its_curve_or_without() {
        let row = |step: u64, value: f64| (step, Map::from_iter([("charts/SPS".to_owned(), Value::from(value))]));
        let picture = draw(&[row(1, 2.0), row(2, 4.0), row(3, 3.0)]);
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        let curves =
            |picture: &str| picture.split("<polyline").filter(|part| part.contains("stroke=\"#0000FF\"")).count();
        assert_eq!((curves(&picture), curves(&draw(&[]))), (1, 0), "{picture}");
        for (_, title) in PANELS {
            assert!(picture.contains(title), "{title}");
        }
    }
}
