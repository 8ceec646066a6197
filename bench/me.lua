-- SPDX-License-Identifier: MIT
--
-- me.lua FILE THREADS: GET of the path with the access tokens of FILE in turn.

dofile("bench/threads.lua")
local requests, i = {}, 0

function init(args)
   for _, token in ipairs(own_lines(args[1], tonumber(args[2]))) do
      requests[#requests + 1] = wrk.format("GET", wrk.path, { Authorization = "Bearer " .. token })
   end
end

function request()
   i = i % #requests + 1
   return requests[i]
end
