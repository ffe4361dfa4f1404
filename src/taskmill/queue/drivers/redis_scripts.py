"""What a queue does in Redis in one step, as scripts that run at the server.

A message is an entry of the stream ``KEYS[1]`` with the fields ``id``, ``body``, ``headers`` (JSON) and ``before``:
how often it had been delivered before it was put there. One that rests after a nack is taken out of the stream and
put into the sorted set ``KEYS[2]`` by the time at which it is due, on the server's clock. So it needs no holder while
it rests: it survives whoever refused it, and whoever looks first puts it back.
"""

from typing import Final

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_PUT_BACK: Final = """
local function put_back(entry, deliveries, delay)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'before' then fields[i + 1] = deliveries end
  end
  if delay > 0 then
    redis.call('ZADD', KEYS[2], now + delay, cmsgpack.pack({entry[1], fields}))
  else
    redis.call('XADD', KEYS[1], '*', unpack(fields))
  end
end
"""

# ARGV: group, consumer, and for each message its entry, deliveries so far, milliseconds of rest. Only what the consumer
# still holds is put back: what has been claimed by another is that one's.
NACK: Final = (
    _NOW
    + _PUT_BACK
    + """
for i = 3, #ARGV, 3 do
  local id = ARGV[i]
  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) > 0 then
    local found = redis.call('XRANGE', KEYS[1], id, id)
    redis.call('XACK', KEYS[1], ARGV[1], id)
    redis.call('XDEL', KEYS[1], id)
    if #found > 0 then put_back(found[1], ARGV[i + 1], tonumber(ARGV[i + 2])) end
  end
end
"""
)

# ARGV: how many at most. Puts back what has rested; returns after how many milliseconds the next is due, or -1.
WAKE: Final = (
    _NOW
    + """
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  redis.call('ZREM', KEYS[2], member)
  redis.call('XADD', KEYS[1], '*', unpack(cmsgpack.unpack(member)[2]))
end
local next = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if #next == 0 then return -1 end
return math.max(0, next[2] - now)
"""
)

# ARGV: group, consumer, and entries that it holds. Renews its lease on them; returns those that are no longer its own.
RENEW: Final = """
local lost = {}
for i = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
"""

# ARGV: group, consumer, how many at most. Puts back at once what the consumer holds, and forgets the consumer once it
# holds nothing; returns how much it still holds.
LEAVE: Final = (
    _NOW
    + _PUT_BACK
    + """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local held = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3], ARGV[2])
for _, one in ipairs(held) do
  local found = redis.call('XRANGE', KEYS[1], one[1], one[1])
  redis.call('XACK', KEYS[1], ARGV[1], one[1])
  redis.call('XDEL', KEYS[1], one[1])
  if #found > 0 then
    local fields, before = found[1][2], 0
    for i = 1, #fields, 2 do
      if fields[i] == 'before' then before = tonumber(fields[i + 1]) end
    end
    put_back(found[1], before + one[4], 0)
  end
end
local left = #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if left == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
return left
"""
)

# ARGV: group, milliseconds. Forgets consumers that hold nothing and were not heard of for so long: of processes that
# were killed.
FORGET: Final = """
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = {}
  for i = 1, #consumer, 2 do about[consumer[i]] = consumer[i + 1] end
  if about['pending'] == 0 and about['idle'] > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about['name'])
  end
end
"""
