-- What KumoMTA gives its policy, as far as docs/gateways/kumomta.md needs it, as its reference manual has it.
-- Arguments: the policy, then a session in JSON. Prints what the client is told at RCPT TO.

local json = require 'dkjson'

local handlers = {}
local kumo = { http = {}, serde = {} }
package.preload.kumo = function()
  return kumo
end

function kumo.on(event, handler)
  handlers[event] = handler
end

function kumo.reject(code, text)
  error { rejected = string.format('%d %s', code, text) }
end

function kumo.serde.json_encode(value)
  return json.encode(value)
end

function kumo.serde.json_parse(text)
  local value, _, fault = json.decode(text)
  return value or error(fault)
end

function kumo.http.build_client(params)
  local seconds = params.timeout:match '^(%d+) seconds?$'
  local client = {}
  function client:post(url)
    local request = { options = {} }
    function request:header(name, value)
      table.insert(self.options, string.format("-H '%s: %s'", name, value))
    end
    function request:body(octets)
      self.octets = octets
    end
    function request:send()
      local name = os.tmpname()
      local file = assert(io.open(name, 'w'))
      file:write(self.octets)
      file:close()
      local curl = io.popen(string.format("curl -sS -m %s -w '\n%%{http_code}' %s --data-binary @%s '%s'",
        seconds, table.concat(self.options, ' '), name, url))
      local said = curl:read 'a'
      local done = curl:close()
      os.remove(name)
      if not done then
        error 'error sending request'
      end
      local text, status = said:match '^(.*)\n(%d+)$'
      return {
        status_code = function() return tonumber(status) end,
        text = function() return text end,
      }
    end
    return request
  end
  return client
end

local policy, session = ...
session = assert(json.decode(session))
local conn_meta = { values = session.meta }
function conn_meta:get_meta(name) return self.values[name] end
function conn_meta:set_meta(name, value) self.values[name] = value end

dofile(policy)
local function told()
  handlers.smtp_server_mail_from({ email = session.mail_from }, conn_meta)
  handlers.smtp_server_rcpt_to({ email = session.rcpt_to }, conn_meta)
end
local passed, fault = pcall(told)
if passed then
  io.stdout:write '250 OK\n'
else
  io.stdout:write(fault.rejected or error(fault), '\n')
end
