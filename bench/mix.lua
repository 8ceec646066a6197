-- SPDX-License-Identifier: MIT
--
-- mix.lua FILE THREADS: requests of all kinds, good and bad, with the token pairs of FILE ("email access refresh"
-- a line).  What wrk counts as errors is meant: done() says how often each status came.

dofile("bench/threads.lua")
local json = { ["Content-Type"] = "application/json" }
local sessions, i = {}, 0

-- With a body, or without.
local function with(token, body)
   return { ["Content-Type"] = body and "application/json", Authorization = "Bearer " .. token }
end

local kinds = {
   function(p) return wrk.format("GET", "/users/me", with(p.access)) end,
   function(p) return wrk.format("GET", "/users/balance", with(p.access)) end,
   function(p) return wrk.format("GET", "/auth/sessions", with(p.access)) end,
   function(p) return wrk.format("PUT", "/users/profile", with(p.access, true), '{"first_name":"Ann","last_name":"Bee"}') end,
   function(p) return wrk.format("PUT", "/users/balance", with(p.access, true), '{"amount":1}') end,
   function(p) return wrk.format("POST", "/auth/login", json, '{"email":"' .. p.email .. '","password":"Secret123"}') end,
   function(p) return wrk.format("POST", "/auth/introspect", with(p.access, true), '{"token":"' .. p.refresh .. '"}') end,
   function(p) return wrk.format("GET", "/users/me", with(p.access:sub(1, -3) .. "AA")) end,
   function(p) return wrk.format("PUT", "/users/balance", with(p.access, true), '{"amount":-9000000000}') end,
   function(p) return wrk.format("PUT", "/users/profile", with(p.access, true), '{"first_name":"","last_name":"Bee"}') end,
   function(p) return wrk.format("POST", "/auth/refresh", json, '{"refresh_token":"' .. ("A"):rep(76) .. '"}') end,
   function(p) return wrk.format("POST", "/auth/register", json, '{"email":"' .. p.email .. '","password":"Secret123"}') end,
   function(p) return wrk.format("POST", "/auth/register", json, '{"email":') end,
   function(p) return wrk.format("GET", "/nothing") end,
   function(p) return wrk.format("PATCH", "/users/me") end,
   function(p) return wrk.format("GET", "/users/?limit=x", with(p.access)) end,
}

function init(args)
   for _, line in ipairs(own_lines(args[1], tonumber(args[2]))) do
      local email, access, refresh = line:match("(%S+) (%S+) (%S+)")
      sessions[#sessions + 1] = { email = email, access = access, refresh = refresh }
   end
end

function request()
   i = i + 1
   return kinds[i % #kinds + 1](sessions[math.floor(i / #kinds) % #sessions + 1])
end

for class = 1, 5 do _G["status" .. class] = 0 end

function response(status)
   local name = "status" .. math.floor(status / 100)
   _G[name] = _G[name] + 1
end

function done()
   for class = 1, 5 do io.write("status ", class, "xx: ", sum("status" .. class), "\n") end
end
