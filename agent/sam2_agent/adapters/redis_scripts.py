"""What the store does in one piece, as scripts in Lua 5.1.

A full Redis (noeviction) must still let the lease live and change hands, and take the few requests in hand:
those scripts are allowed to run out of memory.  Redis looks at its memory before a script, not while it runs.
"""

# A count of holders that is damaged begins anew: nothing but logs and metrics depends on it.
TAKE = """#!lua flags=allow-oom
local standing = redis.call('GET', KEYS[1])
if standing and string.sub(standing, 33) ~= string.sub(ARGV[1], 33) then
  return {0, redis.call('PTTL', KEYS[1])}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local epoch = redis.pcall('INCR', KEYS[2])
if type(epoch) ~= 'number' then
  epoch = 1
  redis.call('SET', KEYS[2], epoch)
end
return {1, epoch}
"""

RENEW = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('HLEN', KEYS[2])
"""

RELEASE = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
"""

RECORD = """#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
"""

# Only a damaged record is looked at in this way: so HGETALL, which the agent needs anyway, will do.
FORGET_DAMAGED = """#!lua flags=allow-oom
local recorded = redis.call('HGETALL', KEYS[1])
for i = 1, #recorded, 2 do
  if recorded[i] == ARGV[1] and recorded[i + 1] == ARGV[2] then
    return redis.call('HDEL', KEYS[1], ARGV[1])
  end
end
return 0
"""

# KEYS: lease, records.  ARGV: token, milliseconds to live, then for each record its data and the bytes that
# it may replace; an empty record, which nobody writes, it always may.
# Gives for each record false where the data was written, else what stands.
PUBLISH = """#!lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('LEASELOST another holds the lease')
end
local standing = {}
for i = 2, #KEYS do
  local data, damaged = ARGV[2 * i - 1], ARGV[2 * i]
  local found = redis.call('GET', KEYS[i])
  if found and found ~= damaged then
    redis.call('PEXPIRE', KEYS[i], ARGV[2])
    standing[i - 1] = found
  else
    redis.call('SET', KEYS[i], data, 'PX', ARGV[2])
    standing[i - 1] = false
  end
end
return standing
"""
