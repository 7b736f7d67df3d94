//! A plot of the times, as SVG.

use std::fmt::Write;

use rangewatch_bench_harness::nanos;

use crate::peers::KINDS;
use crate::results::Row;

/// The operations that are plotted, from top to bottom.
const PANELS: [&str; 2] = ["find", "insert"];
/// The size that is plotted, if it was measured; else the greatest one that was.
const SIZE: usize = 65_536;

const WIDTH: f64 = 860.0;
/// Where the axis starts and ends.
const LEFT: f64 = 110.0;
const RIGHT: f64 = WIDTH - 30.0;
const LEGEND_HEIGHT: f64 = 56.0;
const ROW_HEIGHT: f64 = 26.0;
/// The heights of the heading and of the axis of a panel.
const HEADING_HEIGHT: f64 = 34.0;
const AXIS_HEIGHT: f64 = 40.0;

/// Colors that are distinct on white and on black, and the shapes of the marks around the
/// origin. Ours is the first.
const MARKS: [(&str, &str); 5] = [
    ("#e4572e", "M-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0z"),
    ("#3b8bd0", "M-5-5h10v10h-10z"),
    ("#2aa876", "M0-6l6 11h-12z"),
    ("#b07cd8", "M0-7l6 7l-6 7l-6-7z"),
    ("#b8951f", "M-6-2h4v-4h4v4h4v4h-4v4h-4v-4h-4z"),
];

const STYLE: &str = "
.background { fill: #fff }
text { font: 13px sans-serif; fill: #333 }
.heading { font-weight: bold }
.line { stroke: #ccc; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  .background { fill: #0d1117 }
  text { fill: #ddd }
  .line { stroke: #555 }
}
";

/// Draws one panel per operation: a row per workload, a mark per index, and a logarithmic axis of
/// time that both panels share.
pub(crate) fn draw(rows: &[Row<f64>]) -> String {
    let sizes = rows.iter().map(|row| row.n);
    let n = sizes
        .clone()
        .find(|n| *n == SIZE)
        .or_else(|| sizes.max())
        .unwrap_or(SIZE);
    let panels = PANELS.map(|operation| {
        let rows = rows.iter();
        rows.filter(|row| row.operation == operation && row.n == n)
            .collect::<Vec<_>>()
    });
    let axis = Axis::of(panels.iter().flatten().copied());
    let mut body = String::new();
    legend(&mut body, n);
    let mut top = LEGEND_HEIGHT;
    for (operation, rows) in PANELS
        .iter()
        .zip(&panels)
        .filter(|(_, rows)| !rows.is_empty())
    {
        top = panel(&mut body, operation, rows, &axis, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" height=\"{top}\">\n\
         <style>{STYLE}</style>\n<rect class=\"background\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
    )
}

/// Whole powers of ten around the values.
struct Axis {
    least: i32,
    greatest: i32,
}

impl Axis {
    fn of<'a>(rows: impl Iterator<Item = &'a Row<f64>>) -> Self {
        let times = rows
            .flat_map(|row| &row.values)
            .map(|(_, time)| time.max(1.0).log10());
        let (least, greatest) = times.fold((f64::MAX, f64::MIN), |(least, greatest), time| {
            (least.min(time), greatest.max(time))
        });
        Self {
            least: least.floor() as i32,
            greatest: (greatest.ceil() as i32).max(least.floor() as i32 + 1),
        }
    }

    fn x(&self, time: f64) -> f64 {
        let share =
            (time.max(1.0).log10() - f64::from(self.least)) / f64::from(self.greatest - self.least);
        LEFT + share * (RIGHT - LEFT)
    }
}

fn legend(svg: &mut String, n: usize) {
    push(
        svg,
        format_args!(
            "<text x=\"10\" y=\"20\">Time per operation, less is better. {n} ranges; an index that takes too long to fill has no mark.</text>"
        ),
    );
    for (i, ((name, _), mark)) in KINDS.iter().zip(MARKS).enumerate() {
        let x = 20.0 + 140.0 * i as f64;
        push_mark(svg, mark, x, 40.0);
        push(
            svg,
            format_args!("<text x=\"{}\" y=\"45\">{name}</text>", x + 12.0),
        );
    }
}

/// Draws a panel whose upper edge is `top`, and returns its lower edge.
fn panel(svg: &mut String, operation: &str, rows: &[&Row<f64>], axis: &Axis, top: f64) -> f64 {
    let first = top + HEADING_HEIGHT;
    let bottom = first + ROW_HEIGHT * rows.len() as f64;
    push(
        svg,
        format_args!(
            "<text class=\"heading\" x=\"10\" y=\"{}\">{operation}</text>",
            top + 22.0
        ),
    );
    for power in axis.least..=axis.greatest {
        let time = 10_f64.powi(power);
        let x = axis.x(time);
        push(
            svg,
            format_args!("<path class=\"line\" d=\"M{x:.1} {first}V{bottom}\"/>"),
        );
        push(
            svg,
            format_args!(
                "<text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{}\">{}</text>",
                bottom + 18.0,
                tick(time)
            ),
        );
    }
    for (i, row) in rows.iter().enumerate() {
        let y = first + ROW_HEIGHT * (i as f64 + 0.5);
        push(
            svg,
            format_args!(
                "<text text-anchor=\"end\" x=\"{}\" y=\"{}\">{}</text>",
                LEFT - 14.0,
                y + 5.0,
                row.workload
            ),
        );
        push(
            svg,
            format_args!("<path class=\"line\" d=\"M{LEFT} {y}H{RIGHT}\"/>"),
        );
        // Ours is drawn last, on top of the others.
        for ((name, _), mark) in KINDS.iter().zip(MARKS).rev() {
            for (_, time) in row.values.iter().filter(|(other, _)| other == name) {
                push(
                    svg,
                    format_args!("<g><title>{name}: {}</title>", nanos(*time)),
                );
                push_mark(svg, mark, axis.x(*time), y);
                push(svg, format_args!("</g>"));
            }
        }
    }
    bottom + AXIS_HEIGHT
}

fn push_mark(svg: &mut String, (color, shape): (&str, &str), x: f64, y: f64) {
    push(
        svg,
        format_args!("<path fill=\"{color}\" transform=\"translate({x:.1} {y})\" d=\"{shape}\"/>"),
    );
}

/// A power of ten nanoseconds.
fn tick(time: f64) -> String {
    match time {
        ..1e3 => format!("{time} ns"),
        ..1e6 => format!("{} us", time / 1e3),
        ..1e9 => format!("{} ms", time / 1e6),
        _ => format!("{} s", time / 1e9),
    }
}

fn push(svg: &mut String, element: std::fmt::Arguments<'_>) {
    writeln!(svg, "{element}").expect("writing to a string does not fail");
}
