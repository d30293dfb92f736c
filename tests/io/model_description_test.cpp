// Descriptions of models as JSON: read back by a reader of JSON that did not write them.
#include <galley/io/model_description.hpp>
#include <galley/io/value.hpp>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <variant>

#include <support/catch.hpp>

using galley::any;
using galley::ModelDescription;
using galley::io::parse_json;
using galley::io::Value;
using namespace std::chrono_literals;

namespace {

Value read(const ModelDescription& about) {
  const auto value = parse_json(to_json(about));
  REQUIRE(value.has_value());
  return *value;
}

/// What is at these names and places.
Value at(Value here, std::initializer_list<std::variant<const char*, std::size_t>> path) {
  for (const auto& step : path) {
    if (const auto* name = std::get_if<const char*>(&step)) {
      CAPTURE(*name);
      const Value* found = here.find(*name);
      REQUIRE(found != nullptr);
      here = Value(*found);
    } else {
      REQUIRE(here.list() != nullptr);
      REQUIRE(here.list()->size() > std::get<std::size_t>(step));
      here = Value((*here.list())[std::get<std::size_t>(step)]);
    }
  }
  return here;
}

ModelDescription script() {
  ModelDescription about;
  about.name = "a \"voice\"";
  about.libtorch = "2.13.0";
  about.signature.inputs = {{.name = "x",
                             .shape = {1, any},
                             .device = galley::Device(),
                             .range = galley::TensorSpec::Range{0, 1}}};
  about.signature.outputs = {{"ids", galley::i64, {}}};
  about.script = galley::ScriptDescription{
      .methods = {{"forward", {{"x", "Tensor", {}}, {"rate", "int", "16000"}}, "Tensor"}},
      .method = "forward",
      .arguments = {{"rate", std::int64_t{8000}},
                    {"gain", {}},
                    {"flags", std::vector<bool>{true, false}},
                    {"scale", 0.5}},
      .is_training = true};
  about.parameters = {4, 40, 160, {"float32", "int64"}};
  about.state = {{"h", "float32", {64}, 256}};
  about.state_bytes = 256;
  about.script->reset = "reset_states";
  about.weights = galley::WeightReport{
      .fitting = {"b"}, .missing = {"w"}, .mismatched = {{"v", "float32 [4]", "float32 [3]"}}};
  about.forms = {{"frozen", "", {{.rows = 8, .mean = 58us, .p95 = 61us, .seen = 3, .last = 1ms}}},
                 {"optimized", "not equal", {}}};
  about.runs = {{1, "frozen"}};
  about.choice = galley::FormChoice::measured;
  about.warm_batches = {1, 32};
  return about;
}

}  // namespace

TEST_CASE("a description is read back from JSON, numbers as numbers", "[io][model_description]") {
  const Value all = read(script());
  CHECK(at(all, {"document"}) == Value("galley model description"));
  CHECK(at(all, {"version"}) == Value(1));
  CHECK(at(all, {"name"}) == Value("a \"voice\""));
  CHECK(at(all, {"format"}) == Value("TorchScript"));
  CHECK(at(all, {"device"}) == Value("cpu"));
  CHECK(at(all, {"inputs", 0UL, "shape"}) == Value(Value::List{1, Value()}));
  CHECK(at(all, {"inputs", 0UL, "range"}) == Value(Value::List{0.0, 1.0}));
  CHECK(at(all, {"inputs", 0UL, "device"}) == Value("cpu"));
  CHECK(at(all, {"outputs", 0UL, "shape"}) == Value(Value::List{}));
  CHECK(at(all, {"outputs", 0UL, "dtype"}) == Value("int64"));
  CHECK(at(all, {"outputs", 0UL, "device"}) == Value());
  CHECK(at(all, {"outputs", 0UL, "range"}) == Value());
  const Value method = at(all, {"script", "methods", 0UL});
  CHECK(at(method, {"arguments", 0UL, "default"}) == Value());
  CHECK(at(method, {"arguments", 1UL, "default"}) == Value("16000"));
  const Value bound = at(all, {"script", "arguments"});
  CHECK(at(bound, {"rate"}) == Value(8000));
  CHECK(at(bound, {"gain"}) == Value());
  CHECK(at(bound, {"flags"}) == Value(Value::List{true, false}));
  CHECK(at(bound, {"scale"}) == Value(0.5));
  CHECK(at(all, {"script", "frozen"}) == Value(true));
  CHECK(at(all, {"script", "training"}) == Value(true));
  CHECK(at(all, {"package"}) == Value());
  CHECK(at(all, {"parameters", "elements"}) == Value(40));
  CHECK(at(all, {"parameters", "dtypes"}) == Value(Value::List{"float32", "int64"}));
  CHECK(at(all, {"buffers", "bytes"}) == Value(0));
  CHECK(at(all, {"state", 0UL, "bytes"}) == Value(256));
  CHECK(at(all, {"state_bytes"}) == Value(256));
  CHECK(at(all, {"script", "reset"}) == Value("reset_states"));
  CHECK(at(all, {"weights", "mismatched", 0UL, "wanted"}) == Value("float32 [3]"));
  CHECK(at(all, {"forms", 0UL, "costs", 0UL, "mean_ns"}) == Value(58000));
  CHECK(at(all, {"forms", 1UL, "refused"}) == Value("not equal"));
  CHECK(at(all, {"runs", 0UL, "rows"}) == Value(1));
  CHECK(at(all, {"choice"}) == Value("measured"));
  CHECK(at(all, {"warm_batches"}) == Value(Value::List{1, 32}));
}

TEST_CASE("a package's description says what it was made for", "[io][model_description]") {
  ModelDescription about;
  about.format = galley::ModelFormat::aot_inductor;
  about.package = galley::PackageDescription{
      .device = "cpu", .machine = "x86_64", .batch = {1, 64}, .runners = 2};
  const Value all = read(about);
  CHECK(at(all, {"format"}) == Value("AOTInductor"));
  CHECK(at(all, {"script"}) == Value());
  CHECK(at(all, {"weights"}) == Value());
  CHECK(at(all, {"package", "machine"}) == Value("x86_64"));
  CHECK(at(all, {"package", "batch", "max"}) == Value(64));
  CHECK(at(all, {"package", "runners"}) == Value(2));
}

TEST_CASE("every description has the same members", "[io][model_description]") {
  const auto names = [](const Value& value) {
    std::string all;
    for (const Value::Member& member : *value.object()) all += member.name + " ";
    return all;
  };
  CHECK(names(read(script())) == names(read(ModelDescription())));
  CHECK(names(read(ModelDescription())) ==
        "document version name format device libtorch inputs outputs script package parameters "
        "buffers constants state state_bytes weights forms runs choice warm_batches ");
}

TEST_CASE("texts that are not UTF-8 and numbers that JSON does not have are replaced",
          "[io][model_description]") {
  ModelDescription about = script();
  about.name = "\xff";
  about.signature.inputs[0].range->max = std::numeric_limits<double>::infinity();
  const Value all = read(about);
  CHECK(at(all, {"name"}) == Value("\xef\xbf\xbd"));
  CHECK(at(all, {"inputs", 0UL, "range", 1UL}) == Value());
}
