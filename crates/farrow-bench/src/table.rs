//! Rows of text under each other.

/// Prints rows, the first column to the left, the others to the right.
pub(crate) fn print(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let len = |row: &Vec<String>, column| row.get(column).map_or(0, |cell: &String| cell.chars().count());
    let width = |column| rows.iter().map(|row| len(row, column)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = width - cell.chars().count();
            match column {
                0 => line.push_str(&format!("{cell}{}", " ".repeat(gap))),
                _ => line.push_str(&format!("  {}{cell}", " ".repeat(gap))),
            }
        }
        println!("{}", line.trim_end());
    }
}
