#include <galley/io/model_description.hpp>
#include <src/io/form_json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace galley::inline v1 {

namespace {

using detail::Json;

constexpr const char* document = "galley model description";
constexpr int version = 1;

/// Free extents are null.
Json json_of(const Shape& shape) {
  Json extents = Json::array();
  for (const std::int64_t extent : shape.extents()) {
    extents.push_back(extent == any ? Json() : Json(extent));
  }
  return extents;
}

Json json_of(const std::vector<TensorSpec>& specs) {
  Json all = Json::array();
  for (const TensorSpec& spec : specs) {
    Json range;
    if (spec.range.has_value()) range = {spec.range->min, spec.range->max};
    all.push_back({{"name", spec.name},
                   {"dtype", std::string(to_string(spec.dtype))},
                   {"shape", json_of(spec.shape)},
                   {"device", spec.device.has_value() ? Json(to_string(*spec.device)) : Json()},
                   {"finite", spec.values == TensorSpec::Values::finite},
                   {"range", std::move(range)}});
  }
  return all;
}

Json json_of(const TensorCount& count) {
  return {{"tensors", count.tensors},
          {"elements", count.elements},
          {"bytes", count.bytes},
          {"dtypes", count.dtypes}};
}

Json json_of(const ModelMethod& method) {
  Json arguments = Json::array();
  for (const ModelMethod::Argument& argument : method.arguments) {
    arguments.push_back(
        {{"name", argument.name},
         {"type", argument.type},
         {"default", argument.otherwise.has_value() ? Json(*argument.otherwise) : Json()}});
  }
  return {{"name", method.name}, {"returns", method.returns}, {"arguments", std::move(arguments)}};
}

Json json_of(const ArgumentValue& value) {
  return std::visit(
      [](const auto& held) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          return Json();
        } else {
          return Json(held);
        }
      },
      value);
}

Json json_of(const std::optional<ScriptDescription>& script) {
  if (!script.has_value()) return Json();
  Json methods = Json::array();
  for (const ModelMethod& method : script->methods) methods.push_back(json_of(method));
  Json arguments = Json::object();
  for (const BoundArgument& one : script->arguments) arguments[one.name] = json_of(one.value);
  return {{"methods", std::move(methods)},
          {"method", script->method},
          {"arguments", std::move(arguments)},
          {"rows", script->rows == RowsAs::batch ? "batch" : "list"},
          {"frozen", script->freeze == Freeze::yes},
          {"optimised", script->optimize == Optimize::for_inference},
          {"profiling", script->profiling == Profiling::off ? "off" : "as host"},
          {"training", script->is_training},
          {"refused", script->refused},
          {"reset", script->reset}};
}

Json json_of(const std::optional<PackageDescription>& package) {
  if (!package.has_value()) return Json();
  return {{"device", package->device},
          {"platform", package->platform},
          {"machine", package->machine},
          {"instructions", package->instructions},
          {"libtorch", package->libtorch},
          {"batch", {{"min", package->batch.min}, {"max", package->batch.max}}},
          {"runners", package->runners}};
}

Json json_of(const std::vector<StateAttribute>& state) {
  Json all = Json::array();
  for (const StateAttribute& one : state) {
    all.push_back({{"name", one.name},
                   {"type", one.type},
                   {"shape", json_of(one.shape)},
                   {"bytes", one.bytes}});
  }
  return all;
}

Json json_of(const std::optional<WeightReport>& weights) {
  if (!weights.has_value()) return Json();
  Json mismatched = Json::array();
  for (const WeightReport::Mismatch& one : weights->mismatched) {
    mismatched.push_back({{"name", one.name}, {"got", one.got}, {"wanted", one.wanted}});
  }
  return {{"fitting", weights->fitting},
          {"missing", weights->missing},
          {"unexpected", weights->unexpected},
          {"mismatched", std::move(mismatched)}};
}

}  // namespace

std::string to_json(const ModelDescription& about) {
  Json forms = Json::array();
  for (const FormProfile::Form& form : about.forms) forms.push_back(detail::json_of(form));
  Json runs = Json::array();
  for (const FormRange& range : about.runs) {
    runs.push_back({{"rows", range.rows}, {"form", range.form}});
  }
  const Json all = {{"document", document},
                    {"version", version},
                    {"name", about.name},
                    {"format", to_string(about.format)},
                    {"device", to_string(about.device)},
                    {"libtorch", about.libtorch},
                    {"inputs", json_of(about.signature.inputs)},
                    {"outputs", json_of(about.signature.outputs)},
                    {"script", json_of(about.script)},
                    {"package", json_of(about.package)},
                    {"parameters", json_of(about.parameters)},
                    {"buffers", json_of(about.buffers)},
                    {"constants", json_of(about.constants)},
                    {"state", json_of(about.state)},
                    {"state_bytes", about.state_bytes},
                    {"weights", json_of(about.weights)},
                    {"forms", std::move(forms)},
                    {"runs", std::move(runs)},
                    {"choice", to_string(about.choice)},
                    {"warm_batches", about.warm_batches}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace galley::inline v1
