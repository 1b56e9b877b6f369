//! What an answer covers, in words.

use std::fmt;

use serde::Deserialize;

use crate::age::{span, with_age};

/// Of an answer of the API; times as it writes them.
#[derive(Debug, Deserialize)]
pub struct Coverage {
    generation: u64,
    mode: String,
    watermark: Option<String>,
    /// How old the answer is; nothing if nobody knows.
    freshness_ms: Option<i64>,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {}, {} mode", self.generation, self.mode)?;
        match &self.watermark {
            Some(watermark) => write!(f, ", watermark {}", with_age(watermark))?,
            None => f.write_str(", no watermark yet")?,
        }
        match self.freshness_ms {
            Some(0) => f.write_str(", all of the log"),
            Some(ms @ ..1000) => write!(f, ", {ms} ms behind the log"),
            Some(ms) => write!(f, ", {} behind the log", span(ms)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_told_without_json() {
        let told = |json: &str| serde_json::from_str::<Coverage>(json).unwrap().to_string();
        let watermark = "\"generation\":2,\"mode\":\"kappa\",\"watermark\":\"+10000-01-01T00:00:00Z\"";
        let behind = |ms: u64| told(&format!("{{{watermark},\"freshness_ms\":{ms}}}"));
        assert_eq!(behind(0), "generation 2, kappa mode, watermark +10000-01-01T00:00:00Z, all of the log");
        assert!(behind(12).ends_with(", 12 ms behind the log") && behind(200_000).ends_with(", 3 min behind the log"));
        assert_eq!(
            told(r#"{"generation":1,"mode":"lambda","watermark":null,"freshness_ms":null}"#),
            "generation 1, lambda mode, no watermark yet"
        );
    }
}
