#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/script_outputs.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace galley::inline v1::detail {

namespace {

/// A tuple's elements, or a list's; none of anything else.
c10::ArrayRef<c10::IValue> elements_of(const c10::IValue& value) {
  if (value.isTuple()) return value.toTupleRef().elements().asArrayRef();
  if (value.isList()) return value.toListRef();
  return {};
}

// The names that a tuple's fields have of themselves, if any.
std::vector<std::string> field_names(const c10::IValue& value) {
  std::vector<std::string> names;
  if (!value.isTuple()) return names;
  const auto type = value.toTupleRef().type();
  if (const auto& schema = type->schema(); schema != nullptr) {
    for (const c10::Argument& field : schema->arguments()) names.push_back(field.name());
  }
  return names;
}

}  // namespace

ScriptOutputs ScriptOutputs::in(const c10::IValue& answer, std::span<const TensorSpec> declared) {
  ScriptOutputs outputs;
  Way way;
  outputs.find(answer, way);
  const bool is_flat = !answer.isTensor() && std::ranges::all_of(outputs.ways_, [](const Way& one) {
    return one.size() == 1 && one.front().key.isNone();
  });
  if (is_flat) outputs.flat_ = outputs.ways_.size();
  outputs.choose(declared);
  return outputs;
}

void ScriptOutputs::find(const c10::IValue& value, Way& way) {
  if (value.isTensor()) {
    std::string name;
    for (const Step& step : way) name.append(name.empty() ? "" : ".").append(step.name);
    names_.push_back(name.empty() ? "0" : name);
    ways_.push_back(way);
  } else if (value.isGenericDict()) {
    by_key_ = true;
    for (const auto& entry : value.toGenericDict()) {
      if (!entry.key().isString()) throw std::runtime_error("gives a dict whose keys are not text");
      way.push_back({.key = entry.key(), .name = entry.key().toStringRef()});
      find(entry.value(), way);
      way.pop_back();
    }
  } else if (value.isTuple() || value.isList()) {
    const auto elements = elements_of(value);
    const std::vector<std::string> names = field_names(value);
    for (std::size_t i = 0; i < elements.size(); ++i) {
      way.push_back({.place = i, .name = names.empty() ? std::to_string(i) : names[i]});
      find(elements[i], way);
      way.pop_back();
    }
  } else {
    throw_other(value, way.size());
  }
}

/// What is declared: by name where there are keys, else by position.
void ScriptOutputs::choose(std::span<const TensorSpec> declared) {
  if (declared.empty()) return;
  if (!by_key_) {
    const std::size_t count = names_.size();
    names_ = names_by_position(count, declared, std::move(names_));
    return;
  }
  std::vector<Way> chosen;
  for (const TensorSpec& spec : declared) {
    const auto name = std::ranges::find(names_, spec.name);
    if (name == names_.end()) throw std::runtime_error(text({"gives no \"", spec.name, "\""}));
    chosen.push_back(ways_[static_cast<std::size_t>(name - names_.begin())]);
  }
  names_.clear();
  for (const TensorSpec& spec : declared) names_.push_back(spec.name);
  ways_ = std::move(chosen);
  flat_ = 0;
}

void ScriptOutputs::unpack(c10::IValue answer, Tensors& outputs) const {
  if (answer.isTensor()) {
    outputs.push_back(std::move(answer).toTensor());
  } else if (flat_ != 0) {
    const auto elements = elements_of(answer);
    check_output_count(elements.size(), flat_);
    for (const c10::IValue& element : elements) {
      if (!element.isTensor()) throw_other(element, 1);
      outputs.push_back(element.toTensor());
    }
  } else {
    for (std::size_t i = 0; i < ways_.size(); ++i) outputs.push_back(at(answer, i));
  }
}

at::Tensor ScriptOutputs::at(const c10::IValue& answer, std::size_t output) const {
  c10::IValue value = answer;
  for (const Step& step : ways_[output]) {
    if (!step.key.isNone()) {
      if (!value.isGenericDict()) throw_other(value, 1);
      const auto dict = value.toGenericDict();
      const auto entry = dict.find(step.key);
      if (entry == dict.end())
        throw std::runtime_error(text({"gives no \"", names_[output], "\""}));
      value = entry->value();
    } else {
      const auto elements = elements_of(value);
      if (step.place >= elements.size()) {
        throw std::runtime_error(text({"gives no \"", names_[output], "\""}));
      }
      value = c10::IValue(elements[step.place]);
    }
  }
  if (!value.isTensor()) throw_other(value, 1);
  return value.toTensor();
}

void ScriptOutputs::throw_other(const c10::IValue& got, std::size_t depth) {
  throw std::runtime_error(depth == 0
                               ? "gives " + got.tagKind() +
                                     ", expected a tensor, or a tuple, list or dict of tensors"
                               : "gives " + got.tagKind() + " within its answer, expected tensors");
}

}  // namespace galley::inline v1::detail
