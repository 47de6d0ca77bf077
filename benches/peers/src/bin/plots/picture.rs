//! Draws panels, one below the other, as SVG on a white ground, so that they can be read on a dark page as well.

use std::path::Path;

use plotters::{
    prelude::*,
    style::{
        FontStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{
    Result,
    axis::Axis,
    labels::{spread, wrapped},
};

const WIDTH: u32 = 960;
/// Of one panel.
const HEIGHT: u32 = 440;
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(36, 41, 47);
const FAINT: RGBColor = RGBColor(225, 228, 232);
const GREY: RGBColor = RGBColor(110, 119, 129);
/// How much room names have on the right, and how far from the ends of their lines they begin.
const NAMES: (u32, i32) = (245, 26);
/// Characters of a name in one line, and how high a line is.
const NAME_WIDTH: usize = 31;
const NAME_HEIGHT: f64 = 19.0;

/// One plot.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// What is drawn last is on top.
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) colour: RGBColor,
    pub(crate) look: Look,
    pub(crate) points: Vec<[f64; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Ours.
    Strong,
    Thin,
    Dashed,
}

/// Draws them into a file.
pub(crate) fn draw(file: &Path, panels: &[Panel]) -> Result {
    let ground = SVGBackend::new(file, (WIDTH, HEIGHT * panels.len() as u32)).into_drawing_area();
    ground.fill(&WHITE)?;
    for (area, panel) in ground.split_evenly((panels.len(), 1)).iter().zip(panels) {
        panel.draw(&ground, area)?;
    }
    ground.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

impl Panel {
    fn draw(&self, ground: &Area<'_>, area: &Area<'_>) -> Result {
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, font(23))
            .margin(14)
            .margin_right(NAMES.0)
            .x_label_area_size(50)
            .y_label_area_size(92)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(FAINT)
            .axis_style(GREY)
            .x_desc(self.x.title)
            .y_desc(self.y.title)
            .label_style(font(16))
            .axis_desc_style(font(17))
            .draw()?;
        let mut ends = Vec::new();
        for Line { points, look, colour, .. } in &self.lines {
            let points: Vec<_> = points.iter().map(|[x, y]| (*x, *y)).collect();
            ends.extend(points.last().map(|end| chart.backend_coord(end)));
            match look {
                Look::Strong => {
                    chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(4)))?;
                    chart.draw_series(points.iter().map(|point| Circle::new(*point, 5, colour.filled())))?;
                }
                Look::Thin => {
                    chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
                    chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
                }
                Look::Dashed => {
                    chart.draw_series(DashedLineSeries::new(points, 7, 5, colour.stroke_width(2)))?;
                }
            }
        }
        let (_, bottom) = chart.plotting_area().get_pixel_range();
        self.write_names(ground, &ends, bottom.end)
    }

    /// The names, each with a stroke from the end of its line.
    fn write_names(&self, ground: &Area<'_>, ends: &[(i32, i32)], bottom: i32) -> Result {
        let names: Vec<_> = self.lines.iter().map(|line| wrapped(&line.name, NAME_WIDTH)).collect();
        let wanted =
            names.iter().zip(ends).map(|(name, (_, y))| (f64::from(*y), name.len() as f64 * NAME_HEIGHT + 2.0));
        let middles = spread(&wanted.collect::<Vec<_>>(), f64::from(bottom) + NAME_HEIGHT / 2.0);
        for (((line, name), end), middle) in self.lines.iter().zip(names).zip(ends).zip(middles) {
            let x = end.0 + NAMES.1;
            ground.draw(&PathElement::new(vec![(end.0 + 7, end.1), (x - 4, middle as i32)], line.colour.mix(0.6)))?;
            let style = if line.look == Look::Strong { FontStyle::Bold } else { FontStyle::Normal };
            let style = TextStyle::from((FONT, 16).into_font().style(style)).color(&line.colour);
            let style = style.pos(Pos::new(HPos::Left, VPos::Center));
            let first = middle - (name.len() - 1) as f64 * NAME_HEIGHT / 2.0;
            for (at, text) in name.into_iter().enumerate() {
                let y = first + at as f64 * NAME_HEIGHT;
                ground.draw(&Text::new(text, (x, y as i32), style.clone()))?;
            }
        }
        Ok(())
    }
}

fn font(size: u32) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(&INK)
}
