-- Shoppers for wrk: one connection per thread (-tN -cN), each thread a shopper with cookies of its own.
--
-- A shopper puts a choice into the cart that no other shopper has, and then reads it again and again. It never asks for a page
-- before it has the answer to the last one. What it meets is told at the end, a line per shopper:
--
--   shopper NUMBER COOKIE READS ADDS BEGUN LEAST MOST FAILURES FINDINGS      parted by tabs
--
-- BEGUN: when something was first in the cart, in ms since 1970, or 0. LEAST, MOST: how many of each product are in it now; they differ
-- where an answer was lost. FAILURES: BEGUN,ENDED,STATUS;… of answers above 499 after the first good one. FINDINGS: what must never be,
-- in words.

local ffi = require("ffi")
ffi.cdef [[ typedef struct { long s; long us; } moment; int gettimeofday(moment *, void *); ]]

local products = {
  { "5a4bd0c1-0001-4000-8000-000000000001", "Stoneware mug" },
  { "5a4bd0c1-0002-4000-8000-000000000002", "Porcelain espresso cup" },
  { "5a4bd0c1-0003-4000-8000-000000000003", "Linen tea towel" },
  { "5a4bd0c1-0004-4000-8000-000000000004", "Oak chopping board" },
  { "5a4bd0c1-0005-4000-8000-000000000005", "Glass teapot" },
  { "5a4bd0c1-0006-4000-8000-000000000006", "Beeswax candle" },
}

local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

local moment = ffi.new("moment")
local function now()
  ffi.C.gettimeofday(moment, nil)
  return tonumber(moment.s) * 1000 + math.floor(tonumber(moment.us) / 1000)
end

function init(args)
  think = tonumber(args[1])
  math.randomseed(number * 7919)
  cookie, failures, findings = "", "", ""
  reads, adds, first, served = 0, 0, 0, false
  -- Of each product 0, 1 or 2: 728 choices.
  wanted, least, most = {}, {}, {}
  local digits = number
  for n = 1, #products do
    wanted[n], least[n], most[n] = digits % 3, 0, 0
    digits = math.floor(digits / 3)
  end
  adding, asked = nil, nil
end

function delay()
  if not came then
    -- They do not all come in one moment.
    came = true
    return math.random(0, think * 3)
  end
  return math.random(math.floor(think / 2), math.floor(think * 3 / 2))
end

local function missing()
  for n = 1, #products do
    if least[n] < wanted[n] then return n end
  end
end

-- Whether an add that was not answered counts can only be seen.
local function doubt()
  if adding then
    most[adding] = most[adding] + 1
    adding = nil
    look = true
  end
end

function request()
  if asked then doubt() end
  asked = now()
  local headers = {}
  if cookie ~= "" then headers["Cookie"] = cookie end
  local n = missing()
  if n and served and not look then
    adding = n
    headers["Content-Type"] = "application/json"
    return wrk.format("POST", "/api/cart/add", headers, '{"product":"' .. products[n][1] .. '"}')
  end
  return wrk.format("GET", "/api/cart", headers)
end

local function find(what)
  if #findings < 2000 then findings = findings .. what:gsub("[\t\n]", " ") .. "; " end
end

local function shown(body)
  local cart, known = {}, 0
  for n = 1, #products do cart[n] = 0 end
  local _, lines = body:gsub('"quantity"', "")
  for object in body:gmatch("{[^{}]*}") do
    local name, quantity = object:match('"name":"([^"]*)"'), object:match('"quantity":(%d+)')
    for n = 1, #products do
      if name == products[n][2] then cart[n], known = tonumber(quantity), known + 1 end
    end
  end
  return cart, known == lines
end

function response(status, headers, body)
  local begun, ended = asked, now()
  asked = nil
  for name, value in pairs(headers) do
    if name:lower() == "set-cookie" then
      local given = value:match("^[^;]*")
      if cookie ~= "" and cookie:match("^[^.]*") ~= given:match("^[^.]*") then find("was given another session") end
      cookie = given
    end
  end
  if status ~= 200 then
    -- What the balancer lost with an instance is nobody's answer.
    if headers["x-lost"] then
    elseif status >= 500 then
      if served then failures = failures .. begun .. "," .. ended .. "," .. status .. ";" end
    else
      find("status " .. status .. ": " .. body:sub(1, 200))
    end
    doubt()
    return
  end
  served = true
  if adding then
    adds, least[adding], most[adding] = adds + 1, least[adding] + 1, most[adding] + 1
    adding = nil
  else
    reads = reads + 1
  end
  look = false
  local cart, known = shown(body)
  for n = 1, #products do
    if cart[n] < least[n] or cart[n] > most[n] then known = false end
  end
  if not known or not body:find('"who":"guest"', 1, true) then find("another cart: " .. body:sub(1, 300)) end
  for n = 1, #products do least[n], most[n] = cart[n], cart[n] end
  if first == 0 and adds > 0 then first = ended end
end

function done(summary, latency, requests)
  for n, thread in ipairs(threads) do
    local words = { "shopper", n }
    local least, most, adding = thread:get("least"), thread:get("most"), thread:get("adding")
    -- The last request may have had no answer yet.
    if adding then most[adding] = most[adding] + 1 end
    for _, name in ipairs({ "cookie", "reads", "adds", "first" }) do
      table.insert(words, tostring(thread:get(name)))
    end
    table.insert(words, table.concat(least, ","))
    table.insert(words, table.concat(most, ","))
    table.insert(words, thread:get("failures"))
    table.insert(words, thread:get("findings"))
    io.write(table.concat(words, "\t"), "\n")
  end
  io.write(string.format("latency\t%d\t%d\t%d\n", latency:percentile(50), latency:percentile(99), latency.max))
end
