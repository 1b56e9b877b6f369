//! Functions that users know from other engines, and the nearest thing that works here.

/// Names, and what to write instead.
const NEAREST: [(&[&str], &str); 21] = [
    (&["median"], "approx_median(x)"),
    (
        &[
            "approx_percentile",
            "approx_percentile_cont",
            "percentile",
            "percentile_cont",
            "percentile_disc",
            "quantile",
        ],
        "approx_quantile(x, 0.95)",
    ),
    (&["approx_count_distinct", "ndv", "uniq", "uniqcombined"], "approx_distinct(x)"),
    (&["uniqexact"], "count_distinct(x, 10000)"),
    (
        &["collect_list", "collect_set", "group_concat", "grouparray", "listagg", "nth_value", "string_agg"],
        "array_agg(x, 100)",
    ),
    (&["any", "any_value", "first"], "first_value(x)"),
    (&["anylast", "last"], "last_value(x)"),
    (&["approx_top_k", "mode", "topk"], "top_k(x, 1, 10000)"),
    (&["variance"], "var_samp(x)"),
    (&["every", "logical_and"], "bool_and(condition)"),
    (&["logical_or", "some"], "bool_or(condition)"),
    (&["count_if", "countif"], "count(*) FILTER (WHERE condition)"),
    (&["sum_if", "sumif"], "sum(x) FILTER (WHERE condition)"),
    (&["regr_count"], "count(*) FILTER (WHERE y IS NOT NULL AND x IS NOT NULL)"),
    (&["regr_avgx", "regr_avgy"], "avg(x) FILTER (WHERE y IS NOT NULL AND x IS NOT NULL)"),
    (&["regr_r2"], "corr(y, x) * corr(y, x)"),
    (&["hop_start", "session_start", "tumble_start"], "window_start"),
    (&["hop_end", "session_end", "tumble_end"], "window_end"),
    (&["get_json_object", "json_extract", "json_extract_scalar", "json_value"], "json_get_str(text, 'field')"),
    (&["if", "iif"], "CASE WHEN condition THEN x ELSE y END"),
    (&["format_datetime"], "to_char(time, '%Y-%m-%d')"),
];

/// What to write instead of a function that there is not.
pub fn nearest(function: &str) -> Option<&'static str> {
    let function = function.to_ascii_lowercase();
    NEAREST.iter().find(|(names, _)| names.contains(&function.as_str())).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ViewPlan;
    use anabranch_model::project::Project;

    #[test]
    fn what_is_to_be_written_instead_works_and_what_was_written_does_not() {
        let project = Project::parse(
            "anabranch.toml",
            "[project]\nname = 'p'\n[sources.s]\ntopic = 's'\nformat = 'json'\nevent_time = 'time'\nlateness = '1 minute'\n\
             [sources.s.columns]\nx = 'DOUBLE'\ny = 'DOUBLE'\ncondition = 'BOOLEAN'\ntext = 'VARCHAR'\n\
             time = 'TIMESTAMP NOT NULL'\n",
        )
        .unwrap();
        let sources: BTreeMap<_, _> = project.sources;
        let parse = |sql: &str| ViewPlan::parse("v.sql", sql, &sources);
        for (names, instead) in NEAREST {
            let of_events = format!("SELECT {instead} AS v FROM s GROUP BY tumble(time, INTERVAL '1 hour')");
            let as_key = format!("SELECT CAST({instead} AS VARCHAR) AS v, count(*) AS n FROM s GROUP BY v");
            assert!(parse(&of_events).is_ok() || parse(&as_key).is_ok(), "{instead}: {:?}", parse(&of_events).err());
            for name in names {
                let error = parse(&format!("SELECT count(*) AS n,\n{name}(x) AS v FROM s")).expect_err(name);
                assert_eq!(
                    (error.help.as_str(), error.place.line),
                    (&*format!("write {instead}"), 2),
                    "{name}: {error}"
                );
            }
        }
    }
}
