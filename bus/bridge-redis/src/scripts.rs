//! What the server runs in one step.

use std::sync::LazyLock;

use redis::Script;

/// Values are decimal strings: a number of Lua has 53 bits.
const PRELUDE: &str = "
local function below(a, b)
    return #a < #b or (#a == #b and a < b)
end
local function value_of(id)
    return string.match(id, '^%d+')
end
local function last_epoch()
    local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
    if last then
        return value_of(last[1]), last[2][2]
    end
end
-- The id of the last entry, and its fields if it is there still.
local function last_entry(stream)
    local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    if last then
        return last[1], last[2]
    end
    if redis.call('EXISTS', stream) == 1 then
        local info = redis.call('XINFO', 'STREAM', stream)
        for i = 1, #info, 2 do
            if info[i] == 'last-generated-id' and info[i + 1] ~= '0-0' then
                return info[i + 1]
            end
        end
    end
end
";

/// `EPOCH`: the epoch of the log, and the value that it began after.
pub(crate) static EPOCH: LazyLock<Script> = LazyLock::new(|| {
    script(
        "
local epoch, head = last_epoch()
return {epoch or false, head or false}
",
    )
});

/// `HEAD`, with the stream of the epoch `ARGV[1]`: its first entry, and its last.
pub(crate) static HEAD: LazyLock<Script> = LazyLock::new(|| {
    script(
        "
local epoch, head = last_epoch()
if epoch ~= ARGV[1] then
    return {epoch or false, head or false}
end
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1] or {false, false}
local id, fields = last_entry(KEYS[2])
return {epoch, head, first[1], first[2], id or false, fields or false}
",
    )
});

/// `APPEND`, to the stream of the epoch `ARGV[1]`, of frames that follow the value `ARGV[2]`
/// (empty: none) and each other. Each is the id of its first part and its bytes, or that id, an
/// empty string, the number of its parts, and the parts.
pub(crate) static APPEND: LazyLock<Script> = LazyLock::new(|| {
    script(
        "
local epoch, head = last_epoch()
if epoch ~= ARGV[1] then
    return {'epoch', epoch or false}
end
local stream = KEYS[2]
local id, fields = last_entry(stream)
if id then
    if fields and (#fields ~= 2 or fields[1] ~= 'k') then
        return {'foreign', id}
    end
    head = value_of(id)
end
local call, args = redis.call, ARGV
local prev, at, has_old, is_next = args[2], 3, false, false
while args[at] do
    local first, bytes, n_parts = args[at], args[at + 1], 0
    if bytes == '' then
        n_parts = tonumber(args[at + 2])
    end
    if not is_next then
        local value = value_of(first)
        if head ~= '' and not below(head, value) then
            has_old, prev = true, value
        elseif prev ~= head then
            return {'notnext', head, id or false, fields or false}
        else
            is_next = true
        end
    end
    if is_next and n_parts == 0 then
        call('XADD', stream, first, 'k', bytes)
    elseif is_next then
        local value = value_of(first)
        for part = 1, n_parts do
            local field = part == n_parts and 'k' or 'p'
            call('XADD', stream, value .. '-' .. part, field, args[at + 2 + part])
        end
    end
    at = at + (n_parts == 0 and 2 or 3 + n_parts)
end
if has_old then
    return {'ok', head, id or false, fields or false}
end
return {'ok', head}
",
    )
});

/// `BEGIN` the epoch `ARGV[2]` after the value `ARGV[3]`, if the epoch is `ARGV[1]` (empty: none),
/// whose stream `KEYS[2]` is removed.
pub(crate) static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    script(
        "
if (last_epoch() or '') == ARGV[1] then
    redis.call('XADD', KEYS[1], 'MAXLEN', 1, ARGV[2] .. '-1', 'h', ARGV[3])
    redis.call('UNLINK', KEYS[2])
end
return {}
",
    )
});

/// `TRIM` at most some thousand entries below `ARGV[2]` from the stream of the epoch `ARGV[1]`.
pub(crate) static TRIM: LazyLock<Script> = LazyLock::new(|| {
    script(
        "
local epoch = last_epoch()
if epoch ~= ARGV[1] then
    return {'epoch', epoch or false}
end
local n = redis.call('XTRIM', KEYS[2], 'MINID', '~', ARGV[2], 'LIMIT', 10000)
if n == 0 then
    -- Fewer than a node of the stream is left.
    redis.call('XTRIM', KEYS[2], 'MINID', '=', ARGV[2])
    return {'ok'}
end
return {'more'}
",
    )
});

fn script(code: &str) -> Script {
    Script::new(&format!("{PRELUDE}{code}"))
}
