-- SPDX-License-Identifier: MIT
--
-- login.lua FILE THREADS: the e-mail addresses of FILE log in, in turn.  done() says how many answers were
-- neither 200 nor 503, which says to come back later.

dofile("bench/threads.lua")
local requests, i = {}, 0

function init(args)
   for _, email in ipairs(own_lines(args[1], tonumber(args[2]))) do
      requests[#requests + 1] = wrk.format("POST", "/auth/login", { ["Content-Type"] = "application/json" },
         '{"email":"' .. email .. '","password":"Secret123"}')
   end
end

function request()
   i = i % #requests + 1
   return requests[i]
end

others = 0

function response(status)
   if status ~= 200 and status ~= 503 then others = others + 1 end
end

function done()
   io.write("other than 200 and 503: ", sum("others"), "\n")
end
