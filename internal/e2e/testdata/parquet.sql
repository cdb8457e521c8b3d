-- Questions that are sent to Siltstone and to plain DuckDB, one a line. Each orders all its
-- rows, as a table's own order is not defined.
SELECT count(*) FROM weather
SELECT count(*) AS n, count(temp_max) AS high, count(precip) AS rain FROM weather
SELECT location, count(*) FROM weather GROUP BY location ORDER BY location
SELECT location, avg(temp_max), min(temp_min), max(temp_max) FROM weather GROUP BY ALL ORDER BY ALL
SELECT time, temp_max FROM weather WHERE location = 'Hayward' ORDER BY time LIMIT 10
SELECT * FROM weather WHERE location = 'Hayward' AND time < '2020-01-05' ORDER BY time
SELECT time, location, temp_max FROM weather ORDER BY temp_max DESC, time, location LIMIT 7
SELECT time, location FROM weather ORDER BY time DESC, location LIMIT 1
SELECT min(time), max(time) FROM weather
SELECT time FROM weather WHERE temp_max IS NULL OR temp_min IS NULL OR precip IS NULL ORDER BY time, location
SELECT count(*) FROM weather WHERE time >= '2020-03-01' AND time < '2020-04-01T00:00:00Z'
SELECT count(*) FROM weather WHERE time BETWEEN '2020-03-01' AND '2020-03-31'
SELECT count(*) FROM weather WHERE location IN ('Hayward', 'Concord', 'Nowhere')
SELECT count(*) FROM weather WHERE location NOT IN ('Hayward')
SELECT count(*) FROM weather WHERE location LIKE '%o%' AND NOT location LIKE 'C%'
SELECT count(*) FROM weather WHERE temp_max > 100 OR (precip > 2 AND location = 'Concord')
SELECT count(*) FROM weather WHERE temp_max - temp_min > 40
SELECT date_trunc('month', time) AS month, avg(temp_max) FROM weather GROUP BY month ORDER BY month
SELECT date_part('year', time) AS year, location, sum(precip) FROM weather GROUP BY year, location ORDER BY year, location
SELECT time_bucket(INTERVAL '7 days', time) AS week, max(temp_max) FROM weather WHERE time < '2020-03-01' GROUP BY week ORDER BY week
SELECT dayname(time) AS day, count(*), median(temp_max) FROM weather GROUP BY day ORDER BY day
SELECT location, quantile_cont(temp_max, 0.9), quantile_disc(temp_max, 0.9) FROM weather GROUP BY location ORDER BY location
SELECT location, stddev_samp(temp_max), var_pop(temp_max) FROM weather GROUP BY location ORDER BY location
SELECT corr(temp_max, temp_min), covar_samp(temp_max, temp_min), regr_slope(temp_max, temp_min) FROM weather
SELECT location, arg_max(temp_max, time), arg_min(temp_min, time) FROM weather WHERE temp_max <> 90 GROUP BY location ORDER BY location
SELECT location, first(temp_max ORDER BY time), last(temp_max ORDER BY time) FROM weather GROUP BY location ORDER BY location
SELECT location, count(DISTINCT temp_max), mode(date_part('year', time)) FROM weather WHERE time < '2020-02-01' GROUP BY location ORDER BY location
SELECT location, count(*) FILTER (temp_max > 80), count(*) FILTER (WHERE precip > 0) FROM weather GROUP BY location ORDER BY location
SELECT location, avg(temp_max) AS a FROM weather GROUP BY location HAVING avg(temp_max) > 70 ORDER BY a
SELECT time, temp_max, lag(temp_max) OVER (ORDER BY time) FROM weather WHERE location = 'Concord' AND time < '2020-01-10' ORDER BY time
SELECT time, location, row_number() OVER (PARTITION BY location ORDER BY time DESC) AS n FROM weather QUALIFY n <= 2 ORDER BY location, n
SELECT time, avg(temp_max) OVER (ORDER BY time ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) FROM weather WHERE location = 'Hayward' ORDER BY time LIMIT 10
SELECT location, time, sum(precip) OVER (PARTITION BY location ORDER BY time) AS total FROM weather WHERE time < '2020-01-20' ORDER BY location, time
SELECT DISTINCT location FROM weather ORDER BY location
SELECT DISTINCT ON (location) location, time, temp_max FROM weather WHERE temp_max IS NOT NULL ORDER BY location, temp_max DESC, time
WITH hot AS (SELECT * FROM weather WHERE temp_max > 95) SELECT location, count(*) FROM hot GROUP BY location ORDER BY location
WITH a AS (SELECT location, avg(temp_max) AS m FROM weather GROUP BY location) SELECT w.time, w.temp_max, a.m FROM weather w JOIN a USING (location) WHERE w.temp_max > a.m + 30 ORDER BY w.time, w.location
SELECT a.time, a.temp_max - b.temp_max AS d FROM weather a JOIN weather b ON a.time = b.time WHERE a.location = 'Concord' AND b.location = 'Hayward' AND a.time < '2020-01-10' ORDER BY a.time
SELECT location FROM weather WHERE temp_max = (SELECT max(temp_max) FROM weather) ORDER BY location, time
SELECT count(*) FROM weather w WHERE EXISTS (SELECT 1 FROM weather v WHERE v.time = w.time AND v.temp_max > w.temp_max + 20)
SELECT 'wind' AS t, count(*) AS n FROM wind_data UNION ALL SELECT 'weather', count(*) FROM weather ORDER BY t
SELECT location FROM weather EXCEPT SELECT 'Hayward' ORDER BY 1
SELECT location, CASE WHEN temp_max >= 80 THEN 'hot' WHEN temp_max >= 60 THEN 'mild' ELSE 'cold' END AS feel, count(*) FROM weather GROUP BY ALL ORDER BY ALL
SELECT location, date_part('year', time) AS year, sum(precip) FROM weather GROUP BY ROLLUP (location, year) ORDER BY location NULLS LAST, year NULLS LAST
SELECT coalesce(temp_max, 0), nullif(precip, 0) FROM weather WHERE location = 'Hayward' AND time < '2020-02-01' ORDER BY time
SELECT upper(location), length(location), substr(location, 1, 3) FROM weather GROUP BY location ORDER BY location
SELECT city, country, avg(wind_speed), sum(wind_direction) FROM wind_data GROUP BY ALL ORDER BY ALL
SELECT country, count(DISTINCT city) AS cities FROM wind_data GROUP BY country ORDER BY cities DESC, country
SELECT city, wind_speed FROM wind_data WHERE city IN ('Łódź', 'Málaga', 'Düsseldorf') ORDER BY city, time
SELECT city FROM wind_data WHERE regexp_matches(city, '^[A-C].*n$') GROUP BY city ORDER BY city
SELECT string_agg(DISTINCT country, ',' ORDER BY country) FROM wind_data
SELECT wind_direction // 90 AS quarter, count(*), avg(wind_speed) FROM wind_data GROUP BY quarter ORDER BY quarter
SELECT wind_direction % 7 AS r, bit_xor(wind_direction), bit_and(wind_direction) FROM wind_data GROUP BY r ORDER BY r
SELECT code, min(price), max(price), avg(price) FROM bitcoin GROUP BY code ORDER BY code
SELECT symbol, description, count(*) FROM bitcoin WHERE description LIKE '% %' GROUP BY ALL ORDER BY ALL
SELECT code, time, price FROM bitcoin WHERE price > 1.05 * (SELECT avg(price) FROM bitcoin b WHERE b.code = bitcoin.code) ORDER BY code, time
SELECT date_trunc('hour', time) AS h, code, count(*), sum(price) FROM bitcoin WHERE time >= '2023-05-03' AND time < '2023-05-03 12:00:00' GROUP BY ALL ORDER BY ALL
SELECT epoch_ns(time), price FROM bitcoin WHERE code = 'EUR' ORDER BY time LIMIT 5
SELECT hostname, max(usage_user) FROM cpu GROUP BY hostname ORDER BY hostname
SELECT region, datacenter, avg(usage_user), sum(usage_system) FROM cpu GROUP BY ALL ORDER BY ALL
SELECT time_bucket(INTERVAL '1 minute', time) AS m, hostname, max(usage_user) FROM cpu WHERE hostname IN ('host_1', 'host_2') GROUP BY ALL ORDER BY ALL
SELECT count(*) FROM cpu WHERE usage_user > 90 AND region = 'eu-west-1'
SELECT hostname, time, usage_user FROM cpu WHERE usage_user > 90 AND time > '2016-01-01T00:02:00' ORDER BY time, hostname LIMIT 20
SELECT hostname, arg_max(usage_idle, time) FROM cpu GROUP BY hostname ORDER BY hostname
SELECT os, arch, count(*), quantile_disc(usage_iowait, [0.5, 0.99])::VARCHAR FROM cpu GROUP BY ALL ORDER BY ALL
SELECT c.hostname, avg(c.usage_user), avg(m.used_percent) FROM cpu c JOIN mem m ON c.hostname = m.hostname AND c.time = m.time GROUP BY c.hostname ORDER BY c.hostname
SELECT hostname, sum(bytes_sent), max(packets_recv) FROM net GROUP BY hostname ORDER BY 2 DESC, 1 LIMIT 5
SELECT path, fstype, sum(total)::DOUBLE, max(used_percent) FROM disk GROUP BY ALL ORDER BY ALL
SELECT count(*) FROM (SELECT hostname FROM redis INTERSECT SELECT hostname FROM nginx)
SELECT host, time, f, i, s, b FROM types ORDER BY host NULLS FIRST, time
SELECT b, count(*), sum(i), string_agg(s, '|' ORDER BY time, host) FROM types GROUP BY b ORDER BY b
SELECT count(*) FROM types WHERE i IS DISTINCT FROM 7 AND f IS NULL
SELECT time, i FROM big ORDER BY i
SELECT sum(i), avg(i), max(i) - 1 FROM big WHERE host = 'b'
SELECT time, v FROM past WHERE time < '1970-01-01' ORDER BY time
SELECT time, v, epoch_ns(time) FROM past WHERE time >= '1969-12-31T23:59:59.999999999' ORDER BY time
SELECT host, v, w, s FROM again ORDER BY host
SELECT host, region, v FROM absent WHERE host IS NULL OR region = 'eu' ORDER BY v
SELECT "städt", "wärme", "größe" FROM "température" ORDER BY time
SELECT "tag one", "field one", "field,two", "f=3" FROM "my meas,ure" ORDER BY time
SELECT "from", "where", "group" FROM "select" ORDER BY time
