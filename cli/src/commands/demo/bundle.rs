//! The retail example, carried in the binary.

use std::fs;
use std::io;
use std::path::Path;

use crate::project::PROJECT_FILE;

/// Name of the data file, as it is in `examples/retail`.
pub const DATA_NAME: &str = "online-retail.csv.gz";
/// 30,000 order lines; attribution in `examples/retail/README.md`.
pub const DATA: &[u8] = include_bytes!("../../../../examples/retail/online-retail.csv.gz");

const PROJECT: &str = include_str!("../../../../examples/retail/anabranch.toml");
const VIEWS: [(&str, &str); 8] = [
    ("country_sales", include_str!("../../../../examples/retail/views/country_sales.sql")),
    ("country_week", include_str!("../../../../examples/retail/views/country_week.sql")),
    ("customer_spend", include_str!("../../../../examples/retail/views/customer_spend.sql")),
    ("customer_tens", include_str!("../../../../examples/retail/views/customer_tens.sql")),
    ("customer_visits", include_str!("../../../../examples/retail/views/customer_visits.sql")),
    ("month", include_str!("../../../../examples/retail/views/month.sql")),
    ("price_stats", include_str!("../../../../examples/retail/views/price_stats.sql")),
    ("returns", include_str!("../../../../examples/retail/views/returns.sql")),
];

/// Writes the example's project into `dir`.
pub fn unpack(dir: &Path) -> io::Result<()> {
    let views = dir.join("views");
    fs::create_dir_all(&views)?;
    fs::write(dir.join(PROJECT_FILE), PROJECT)?;
    VIEWS.iter().try_for_each(|(name, sql)| fs::write(views.join(format!("{name}.sql")), sql))
}
