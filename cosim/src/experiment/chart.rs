// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Charts of a report, drawn side by side as one SVG image.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::Report;

/// Size of one chart in pixels.
const SIZE: (u32, u32) = (520, 400);
/// Charts in a row.
const IN_A_ROW: usize = 2;
/// Colours that stay apart for colour-blind readers (Okabe and Ito), in the order of the series.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// A chart: lines through points.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What is to the right, with its unit.
    pub x: String,
    /// What is upwards, with its unit.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points, in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
}

/// The image cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the chart: {0}")]
pub struct SvgError(String);

impl Report {
    /// All charts as one SVG image; `None` if there is no chart with a point.
    ///
    /// # Errors
    /// [`SvgError`] from the drawing library.
    pub fn svg(&self) -> Result<Option<String>, SvgError> {
        let charts: Vec<&Chart> = self.charts.iter().filter(|c| c.any_point()).collect();
        if charts.is_empty() {
            return Ok(None);
        }
        let across = charts.len().min(IN_A_ROW);
        let down = charts.len().div_ceil(across);
        let size = (SIZE.0 * across as u32, SIZE.1 * down as u32);
        let mut image = String::new();
        {
            let area = SVGBackend::with_string(&mut image, size).into_drawing_area();
            let failed = |error: &dyn std::fmt::Display| SvgError(error.to_string());
            area.fill(&WHITE).map_err(|error| failed(&error))?;
            for (chart, place) in charts.iter().zip(area.split_evenly((down, across))) {
                chart.draw(&place).map_err(|error| failed(&error))?;
            }
            area.present().map_err(|error| failed(&error))?;
        }
        Ok(Some(image))
    }
}

type DrawError = DrawingAreaErrorKind<std::io::Error>;

impl Chart {
    fn any_point(&self) -> bool {
        self.series.iter().any(|series| !series.points.is_empty())
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), DrawError> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(1e-9, f64::max) * 1.05;
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..most(|point| point.0), 0.0..most(|point| point.1))?;
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .light_line_style(WHITE)
            .label_style(("sans-serif", 13))
            .draw()?;
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(series.points.iter().copied(), colour.stroke_width(2));
            chart
                .draw_series(line.point_size(3))?
                .label(&series.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 13))
            .draw()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)]) -> Chart {
        Chart {
            title: "local <DRAM>".to_owned(),
            x: "GB/s".to_owned(),
            y: "ns".to_owned(),
            series: vec![Series {
                name: "stream".to_owned(),
                points: points.to_vec(),
            }],
        }
    }

    #[test]
    fn charts_become_one_image_and_markup_is_escaped() {
        let report = Report {
            charts: vec![chart(&[(1.0, 90.0), (2.0, 95.0)]), chart(&[(0.0, 0.0)])],
            ..Report::default()
        };
        let image = report.svg().unwrap().unwrap();
        assert!(image.starts_with("<svg") && image.trim_end().ends_with("</svg>"));
        assert_eq!(image.matches("stream").count(), 2);
        assert!(image.contains("local &lt;DRAM&gt;"));
    }

    #[test]
    fn nothing_measured_is_no_image() {
        let report = Report {
            charts: vec![chart(&[])],
            ..Report::default()
        };
        assert!(report.svg().unwrap().is_none());
    }
}
