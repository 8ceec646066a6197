-- SPDX-License-Identifier: MIT
--
-- refresh.lua FILE THREADS: refreshes the sessions whose tokens are in FILE.  A token is taken out of the line
-- when it is sent, and its answer's goes to the line's end: each is used once, and the newest of its session.

dofile("bench/threads.lua")
local line, first, last = {}, 1, 0

function init(args)
   line = own_lines(args[1], tonumber(args[2]))
   last = #line
end

function request()
   local token = line[first]
   if not token then error("no token is left: an answer had none") end
   line[first] = nil
   first = first + 1
   return wrk.format("POST", "/auth/refresh", { ["Content-Type"] = "application/json" },
      '{"refresh_token":"' .. token .. '"}')
end

function response(status, headers, body)
   local token = body:match('"refresh_token":"([^"]+)"')
   if token then
      last = last + 1
      line[last] = token
   end
end
