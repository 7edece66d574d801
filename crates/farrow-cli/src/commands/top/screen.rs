//! The live view: space, what is mapped, and what happens.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use farrow_client::Event as Change;
use farrow_client::blocking::Client;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};

use super::snapshot::{HEADING, Mapped, RIGHT, Snapshot};
use crate::commands::watch;
use crate::output;

/// So many of the last changes are kept.
const CHANGES: usize = 100;

pub(super) fn run(client: &Client, interval: Duration) -> anyhow::Result<()> {
    // Whoever may not ask is told before the screen is taken.
    let first = Snapshot::take(client)?;
    let changes = changes(client);
    let mut terminal = ratatui::try_init()?;
    let ended = View::new(first, output::takes_colours(&std::io::stdout())).live(
        &mut terminal,
        client,
        &changes,
        interval,
    );
    ratatui::restore();
    ended
}

/// Reads what is committed and dropped, from a thread of its own, as lines. Over TCP there is nothing to hear.
fn changes(client: &Client) -> Receiver<String> {
    let (tell, changes) = channel();
    match client.watch("") {
        Err(error) => {
            // The receiver is there until this returns.
            let _ = tell.send(farrow_client::chain(&error));
        }
        Ok(watch) => {
            std::thread::spawn(move || {
                for change in watch {
                    let ended = change.is_err();
                    let line = change.map_or_else(
                        |error| farrow_client::chain(&error),
                        |change: Change| watch::text(&change),
                    );
                    if tell.send(line).is_err() || ended {
                        return;
                    }
                }
            });
        }
    }
    changes
}

struct View {
    snapshot: Snapshot,
    /// The reason why there is no newer one.
    stale: Option<String>,
    changes: VecDeque<String>,
    colours: bool,
}

impl View {
    fn new(snapshot: Snapshot, colours: bool) -> Self {
        Self { snapshot, stale: None, changes: VecDeque::new(), colours }
    }

    fn live(
        mut self,
        terminal: &mut DefaultTerminal,
        client: &Client,
        changes: &Receiver<String>,
        interval: Duration,
    ) -> anyhow::Result<()> {
        let mut next = Instant::now() + interval;
        loop {
            for change in changes.try_iter() {
                self.changes.push_front(change);
                self.changes.truncate(CHANGES);
            }
            terminal.draw(|frame| self.draw(frame))?;
            if event::poll(next.saturating_duration_since(Instant::now()))? && ends(&event::read()?) {
                return Ok(());
            }
            if Instant::now() >= next {
                next = Instant::now() + interval;
                match Snapshot::take(client) {
                    Ok(snapshot) => (self.snapshot, self.stale) = (snapshot, None),
                    Err(error) => self.stale = Some(farrow_client::chain(error.as_ref())),
                }
            }
        }
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let mapped = u16::try_from(self.snapshot.mapped.len()).unwrap_or(u16::MAX).saturating_add(2);
        let [space, table, changes, bottom] = Layout::vertical([
            Constraint::Length(4),
            Constraint::Max(mapped.max(3)),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.draw_space(frame, space);
        self.draw_mapped(frame, table);
        let lines: Vec<Line<'_>> =
            self.changes.iter().map(|change| Line::from(output::plain(change))).collect();
        frame.render_widget(Paragraph::new(lines).block(Block::new().title("changes".bold())), changes);
        let bottom_line = match &self.stale {
            Some(why) => Line::from(output::plain(why)).style(self.colour(Color::Red)),
            None => Line::from("q ends it"),
        };
        frame.render_widget(bottom_line, bottom);
    }

    fn draw_space(&self, frame: &mut Frame<'_>, area: Rect) {
        let [bar, text] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        frame.render_widget(self.bar(bar.width), bar);
        let lines: Vec<Line<'_>> = self.snapshot.lines().into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(lines), text);
    }

    /// The pool's bytes by what holds them, as long as the line: without colours, too, they can be told apart.
    fn bar(&self, width: u16) -> Line<'static> {
        let snapshot = &self.snapshot;
        let cells = |bytes: u64| {
            let part = u128::from(bytes) * u128::from(width) / u128::from(snapshot.pool_bytes.max(1));
            // What is there can be seen.
            usize::try_from(part).unwrap_or(0).max(usize::from(bytes > 0))
        };
        let part =
            |symbol: &str, bytes, colour| Span::styled(symbol.repeat(cells(bytes)), self.colour(colour));
        Line::from(vec![
            part("█", snapshot.used, Color::Green),
            part("▓", snapshot.held, Color::Yellow),
            part("▒", snapshot.reserved, Color::Cyan),
            part("·", snapshot.free, Color::Reset),
        ])
    }

    fn draw_mapped(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.snapshot.mapped.iter().map(|mapped: &Mapped| row(mapped.cells()));
        let widths = [
            Constraint::Fill(1),
            Constraint::Length(10),
            Constraint::Length(7),
            Constraint::Length(9),
            Constraint::Length(12),
        ];
        let heading = row(HEADING.map(str::to_owned)).bold();
        frame.render_widget(Table::new(rows, widths).header(heading), area);
    }

    fn colour(&self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }
}

/// Cells, numbers to the right.
fn row(cells: [String; 5]) -> Row<'static> {
    let cells = cells.into_iter().zip(RIGHT).map(|(cell, right)| {
        let line = Line::from(output::plain(&cell));
        if right { line.right_aligned() } else { line }
    });
    Row::new(cells)
}

/// q, Escape or Ctrl-C, which is a key here.
fn ends(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || interrupt)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::snapshot::tests::snapshot;
    use super::*;

    #[test]
    fn the_screen_has_space_what_is_mapped_and_changes() {
        let mut view = View::new(snapshot(), false);
        view.changes.push_front("committed  a@1".to_owned());
        view.changes.push_front("dropped    \u{1b}[2J".to_owned());
        let mut terminal = Terminal::new(TestBackend::new(80, 12)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let expected = [
            "████████████████████████████████▓▓▓▓▓▓▓▓········································",
            "pool 100 B: used 40 B, held 10 B, reserved 0 B, free 50 B (largest extent 30 B) ",
            "2 frames, 3 versions, 4 leases; catalog 1 B of 9 B, famfs log 5 of 9 entries    ",
            "                                                                                ",
        ];
        let lines: Vec<String> = terminal.backend().to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[..4], expected.iter().map(|line| format!("\"{line}\"")).collect::<Vec<_>>());
        let mapped: Vec<Vec<&str>> =
            lines[4..7].iter().map(|line| line.trim_matches('"').split_whitespace().collect()).collect();
        assert_eq!(mapped[0], HEADING);
        assert_eq!(
            mapped[1..],
            [&["b@1", "30", "B", "1", "1", "1s"][..], &["a@1", "10", "B", "3", "2", "1m", "30s"]]
        );
        assert!(lines[8].starts_with("\"changes"));
        assert!(lines[9].contains("dropped    \\u{1b}[2J") && lines[10].contains("committed  a@1"));
        assert!(lines[11].contains("q ends it"));

        view.stale = Some("the agent is gone".to_owned());
        terminal.draw(|frame| view.draw(frame)).unwrap();
        assert!(terminal.backend().to_string().contains("the agent is gone"));
    }

    #[test]
    fn q_escape_and_interrupt_end_it() {
        let key = |code, modifiers| Event::Key(event::KeyEvent::new(code, modifiers));
        assert!(
            ends(&key(KeyCode::Char('q'), KeyModifiers::NONE))
                && ends(&key(KeyCode::Esc, KeyModifiers::NONE))
        );
        assert!(ends(&key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!ends(&key(KeyCode::Char('c'), KeyModifiers::NONE)) && !ends(&Event::Resize(1, 1)));
    }
}
