-- Edits per channel and hour; the rows come in as the table `input`.
select
    date_trunc('hour', "time") as hour_start,
    channel,
    count(*) as edits,
    count(*) filter (where isRobot) as edits_by_robots,
    sum(added)::bigint as added,
    sum(deleted)::bigint as deleted,
    sum(delta)::bigint as delta
from input
group by hour_start, channel
order by hour_start, channel
