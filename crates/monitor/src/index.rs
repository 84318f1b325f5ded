//! The page at `/`: where to go from here.

use crate::endpoint::Endpoint;

/// The page, in full.
pub(crate) fn page() -> String {
    let links: String = Endpoint::ALL
        .into_iter()
        .filter(|endpoint| *endpoint != Endpoint::Index)
        .map(|endpoint| {
            let (path, title) = (endpoint.path(), endpoint.title());
            format!("<li><a href=\".{path}\">{title}</a> <code>{path}</code></li>\n")
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Flotilla</title>\n\
         <h1>Flotilla {version}</h1>\n<ul>\n{links}</ul>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}
