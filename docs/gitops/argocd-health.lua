-- Health of a ChatRoom for Argo CD: the value of resource.customizations.health.parlor.chat_ChatRoom in argocd-cm.
local hs = { status = "Progressing", message = "the operator has not seen this version yet" }
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return hs
end
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function is(kind, value)
  return conditions[kind] ~= nil and conditions[kind].status == value
end
local function says(health, kind)
  hs.status = health
  hs.message = conditions[kind].reason .. ": " .. conditions[kind].message
  return hs
end
if is("Paused", "True") then
  return says("Suspended", "Paused")
end
if obj.spec.suspend and is("Ready", "False") and conditions["Ready"].reason == "Suspended" then
  return says("Suspended", "Ready")
end
if is("Stalled", "True") then
  return says("Degraded", "Stalled")
end
if is("Ready", "False") and (conditions["Ready"].reason == "ApplyFailed" or not is("Progressing", "True")) then
  return says("Degraded", "Ready")
end
if is("Progressing", "True") then
  return says("Progressing", "Progressing")
end
if is("Ready", "True") then
  return says("Healthy", "Ready")
end
if conditions["Ready"] ~= nil then
  return says("Progressing", "Ready")
end
return hs
