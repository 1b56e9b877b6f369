//! Views of several shapes.

pub const WINDOWED: &str = "SELECT k, window_start, window_end, count(*) AS c, count(n) AS cn, sum(n) AS sn, \
    sum(amount) AS sa, sum(x) AS sx, avg(n) AS an, avg(amount) AS aa, avg(x) AS ax, min(k) AS mk, max(x) AS hx, \
    min(day) AS md, max(flag) AS mf, max(ts) AS mt FROM events WHERE g <> 1 GROUP BY k, tumble(ts, INTERVAL '1 minute')";

pub const FILTERED: &str = "SELECT g, flag, count(*) FILTER (WHERE n > 0) AS c, sum(n) FILTER (WHERE x < 0) AS s, \
    min(x) FILTER (WHERE flag) AS m, avg(amount) FILTER (WHERE k = 'nobody') AS nothing FROM events GROUP BY g, flag";

pub const GLOBAL: &str = "SELECT count(*) AS c, sum(amount) AS s, max(k) AS k FROM events";

pub const TYPED_KEYS: &str = "SELECT day, amount AS price, upper(k) AS name, date_trunc('hour', ts) AS hour, count(*) AS c \
    FROM events GROUP BY day, amount, upper(k), date_trunc('hour', ts)";

/// Types that Delta does not have, and names that need quotes.
pub const ODD_KEYS: &str = "SELECT CAST(g AS TINYINT UNSIGNED) AS small, CAST(g + 1 AS INT UNSIGNED) AS \"Large number\", \
    CAST(ts AS TIMESTAMP(9)) AS nanos, CAST(ts + INTERVAL '1 hour' AS TIMESTAMP(0)) AS seconds, count(*) AS c FROM events \
    GROUP BY CAST(g AS TINYINT UNSIGNED), CAST(g + 1 AS INT UNSIGNED), CAST(ts AS TIMESTAMP(9)), CAST(ts + INTERVAL '1 hour' AS TIMESTAMP(0))";

pub const HOPPING: &str = "SELECT k, window_start, window_end, count(*) AS c, sum(amount) AS s FROM events \
    GROUP BY k, hop(ts, INTERVAL '40 seconds', INTERVAL '1 minute')";

pub const CUMULATING: &str = "SELECT g, window_end, count(*) AS c, sum(n) AS s FROM events \
    GROUP BY g, cumulate(ts, INTERVAL '1 minute', INTERVAL '1 hour')";

pub const SESSIONS: &str = "SELECT k, flag, window_start, window_end, count(*) AS c, sum(amount) AS s, \
    max(x) FILTER (WHERE n > 0) AS m FROM events GROUP BY k, flag, session(ts, INTERVAL '7 seconds')";

pub const TRIGGERED: &str = "SELECT k, flag, count(*) AS c, sum(amount) AS s, max(x) FILTER (WHERE n > 0) AS m FROM events \
    WHERE g <> 1 GROUP BY k, flag, every(4)";

pub const CHOSEN: &str = "SELECT g, count_distinct(k, 1000) AS ks, count_distinct(n, 3) AS few, first_value(n) AS f, \
    last_value(k) FILTER (WHERE n > 0) AS l, arg_max(k, amount) AS a, arg_min(n, day) AS m, bool_and(flag) AS every, \
    bool_or(flag) FILTER (WHERE x > 0) AS some, var_samp(amount) AS v, stddev_pop(n) AS s FROM events GROUP BY g";

pub const ALL: [&str; 10] =
    [WINDOWED, FILTERED, GLOBAL, TYPED_KEYS, ODD_KEYS, HOPPING, CUMULATING, SESSIONS, TRIGGERED, CHOSEN];
