//! The text format of Prometheus, read.

use std::collections::BTreeMap;

/// The series of a page: name, labels, value.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    series: Vec<Series>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Page {
    /// Lines that are no series are passed over.
    pub(super) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self { series: lines.filter_map(series).collect() }
    }

    /// The sum of a metric's series that have these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        // Nothing adds up to -0, which is shown as such.
        self.all(name, labels).map(|own| own.value).sum::<f64>() + 0.0
    }

    /// The sum by one label.
    pub(super) fn by(
        &self,
        name: &str,
        label: &str,
        labels: &[(&str, &str)],
    ) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for own in self.all(name, labels) {
            if let Some(value) = own.labels.get(label) {
                *sums.entry(value.as_str()).or_default() += own.value;
            }
        }
        sums
    }

    fn all<'a, 'q>(
        &'a self,
        name: &'q str,
        labels: &'q [(&'q str, &'q str)],
    ) -> impl Iterator<Item = &'a Series> + use<'a, 'q> {
        self.series.iter().filter(move |own| {
            own.name == name
                && labels
                    .iter()
                    .all(|(key, value)| own.labels.get(*key).is_some_and(|v| v == value))
        })
    }
}

fn series(line: &str) -> Option<Series> {
    let (head, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let (name, labels) = match head.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (head, ""),
    };
    // Names of the configuration have no quotes and no commas.
    let labels = labels.split(',').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((key.to_owned(), value.trim_matches('"').to_owned()))
    });
    Some(Series { name: name.to_owned(), labels: labels.collect(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_their_labels() {
        let page = Page::read(
            "# HELP a b\n# TYPE a counter\na{x=\"1\",y=\"p\"} 2\na{x=\"2\",y=\"p\"} 3\nb 7.5\nbad\n",
        );
        assert_eq!(page.sum("a", &[]), 5.0);
        assert_eq!(page.sum("a", &[("x", "2")]), 3.0);
        assert_eq!(page.sum("b", &[]), 7.5);
        assert_eq!(page.by("a", "x", &[("y", "p")]), BTreeMap::from([("1", 2.0), ("2", 3.0)]));
    }
}
