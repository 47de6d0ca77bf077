//! Both scenes as pictures: SVG on a white ground, so that they can be read on a dark page as well.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;
use wix_visitor_core::Policy;

use crate::books::Purpose;
use crate::day::Day;
use crate::outage::{DOWN, Outage};
use crate::report::thousands;

/// What both have in common.
const SIZE: (u32, u32) = (960, 440);
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(36, 41, 47);
const FAINT: RGBColor = RGBColor(225, 228, 232);
const ORANGE: RGBColor = RGBColor(217, 95, 2);
const BLUE: RGBColor = RGBColor(9, 105, 218);
const GREY: RGBColor = RGBColor(110, 119, 129);

type Drawn = Result<(), Box<dyn Error + Send + Sync>>;

/// The renewals of a day, with and without jitter.
///
/// # Errors
/// If the file cannot be written.
pub fn renewals(day: &Day, file: &Path) -> Drawn {
    let minutes = || 0..24 * 60usize;
    let points = |count: &dyn Fn(usize) -> u64| -> Vec<(f64, f64)> {
        minutes().map(|minute| (minute as f64 / 60.0, count(minute) as f64)).collect()
    };
    let title = format!("{} visitors who all came within the first hour", thousands(day.fleet.visitors.into()));
    let limit = day.fleet.limit();
    Panel {
        title,
        x: ("hours", 0.0..24.0),
        y: ("renewals per minute", day.none.peak().max(limit)),
        down: None,
        legend: SeriesLabelPosition::UpperRight,
    }
    .draw(
        file,
        &[
            Line {
                name: "without jitter".to_owned(),
                points: points(&|minute| day.none.at(minute)),
                look: Look::Line(ORANGE),
            },
            Line {
                name: format!("with jitter, and limits on {} instances", day.fleet.instances),
                points: points(&|minute| day.books.renewals_at(minute)),
                look: Look::Area(BLUE),
            },
            Line {
                name: "with jitter alone".to_owned(),
                points: points(&|minute| day.jitter.at(minute)),
                look: Look::Line(GREY),
            },
            Line {
                name: format!("their limits together: {} a minute", thousands(limit)),
                points: vec![(0.0, limit as f64), (24.0, limit as f64)],
                look: Look::Dashes(BLUE),
            },
        ],
    )
}

/// The grants around an outage: those that a shopper waits for, and the others.
///
/// # Errors
/// If the file cannot be written.
pub fn outage(outage: &Outage, file: &Path) -> Drawn {
    let back = outage.back();
    let minutes = || back - 75..back + 30;
    let after = |minute: usize| minute as f64 - back as f64;
    // Each minute as a step.
    let points = |count: &dyn Fn(usize) -> u64| -> Vec<(f64, f64)> {
        minutes().flat_map(|minute| [minute, minute + 1].map(|edge| (after(edge), count(minute) as f64))).collect()
    };
    let limit = f64::from(Policy::default().background_per_minute);
    let peak = minutes().map(|minute| outage.waiting_at(minute)).max().unwrap_or(0).max(limit as u64);
    let visitors = thousands(outage.visitors.into());
    Panel {
        title: format!("{visitors} visitors of one instance, and an hour without an endpoint"),
        x: ("minutes since the endpoint is back", -75.0..30.0),
        y: ("grants per minute", peak),
        down: Some((after(DOWN.start as usize / 60), after(DOWN.end as usize / 60))),
        legend: SeriesLabelPosition::UpperLeft,
    }
    .draw(
        file,
        &[
            Line {
                name: "for shoppers who wait".to_owned(),
                points: points(&|minute| outage.waiting_at(minute)),
                look: Look::Area(ORANGE),
            },
            Line {
                name: "renewals in the background".to_owned(),
                points: points(&|minute| outage.books.granted(Purpose::Background).at(minute)),
                look: Look::Area(BLUE),
            },
            Line {
                name: format!("their limit: {} a minute", thousands(limit as u64)),
                points: vec![(-75.0, limit), (30.0, limit)],
                look: Look::Dashes(BLUE),
            },
        ],
    )
}

struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    look: Look,
}

#[derive(Clone, Copy)]
enum Look {
    Line(RGBColor),
    Dashes(RGBColor),
    Area(RGBColor),
}

struct Panel {
    title: String,
    /// What is along the side, and from where to where.
    x: (&'static str, Range<f64>),
    /// What is upwards, and the most of it.
    y: (&'static str, u64),
    /// When the endpoint is down.
    down: Option<(f64, f64)>,
    /// Where nothing is drawn.
    legend: SeriesLabelPosition,
}

impl Panel {
    fn draw(self, file: &Path, lines: &[Line]) -> Drawn {
        let top = self.y.1 as f64 * 1.25;
        let ground = SVGBackend::new(file, SIZE).into_drawing_area();
        ground.fill(&WHITE)?;
        let font = |size: u32| TextStyle::from((FONT, size).into_font()).color(&INK);
        let mut chart = ChartBuilder::on(&ground)
            .caption(&self.title, font(24))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(96)
            .build_cartesian_2d(self.x.1.clone(), 0.0..top)?;
        if let Some((from, until)) = self.down {
            chart.draw_series([Rectangle::new([(from, 0.0), (until, top)], FAINT.mix(0.6).filled())])?;
            let middle = (from + until) / 2.0;
            let label = font(18).pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Center,
            ));
            chart.draw_series([Text::new("the endpoint is down", (middle, top * 0.57), label)])?;
        }
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(GREY)
            .x_desc(self.x.0)
            .y_desc(self.y.0)
            .x_labels(13)
            .y_labels(8)
            .x_label_formatter(&|x| format!("{x:.0}").replace('-', "−"))
            .y_label_formatter(&|y| thousands(*y as u64))
            .label_style(font(17))
            .axis_desc_style(font(18))
            .draw()?;
        for line in lines {
            let (look, points) = (line.look, line.points.iter().copied());
            let drawn = match look {
                Look::Line(colour) => chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?,
                Look::Dashes(colour) => {
                    chart.draw_series(DashedLineSeries::new(points, 7, 5, colour.stroke_width(1)))?
                }
                Look::Area(colour) => chart
                    .draw_series(AreaSeries::new(points, 0.0, colour.mix(0.25)).border_style(colour.stroke_width(2)))?,
            };
            drawn.label(&line.name).legend(move |(x, y)| match look {
                Look::Line(colour) => Rectangle::new([(x, y - 1), (x + 22, y + 1)], colour.filled()),
                Look::Dashes(colour) => Rectangle::new([(x, y), (x + 22, y + 1)], colour.filled()),
                Look::Area(colour) => Rectangle::new([(x, y - 5), (x + 22, y + 5)], colour.mix(0.5).filled()),
            });
        }
        chart
            .configure_series_labels()
            .position(self.legend)
            .legend_area_size(32)
            .margin(12)
            .label_font(font(17))
            .background_style(WHITE.mix(0.9))
            .border_style(FAINT)
            .draw()?;
        ground.present()?;
        Ok(())
    }
}
