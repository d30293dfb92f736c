#include <galley/core/text.hpp>
#include <src/torch/description.hpp>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <type_traits>
#include <variant>

namespace galley::inline v1 {

namespace {

using detail::text;

std::string quoted(const std::string& text) {
  std::string all = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') all.push_back('\\');
    all.push_back(c);
  }
  return all.append("\"");
}

std::string python_text(bool value) {
  return value ? "True" : "False";
}
std::string python_text(std::int64_t value) {
  return std::to_string(value);
}
std::string python_text(const std::string& value) {
  return quoted(value);
}
std::string python_text(double value) {
  char digits[32];
  for (int precision = 6; precision <= 17; ++precision) {
    std::snprintf(digits, sizeof digits, "%.*g", precision, value);
    if (std::strtod(digits, nullptr) == value) break;
  }
  const std::string all = digits;
  return all.find_first_not_of("-0123456789") == all.npos ? all + ".0" : all;
}

std::string micros(Duration time) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.1f", static_cast<double>(time.count()) / 1000);
  return digits;
}

void append_item(std::string& list, std::string_view item) {
  list.append(list.empty() ? "" : ", ").append(item);
}

TensorCount sum_of(const ModelDescription& about) {
  TensorCount all;
  for (const TensorCount* part : {&about.parameters, &about.buffers, &about.constants}) {
    all.tensors += part->tensors;
    all.elements += part->elements;
    all.bytes += part->bytes;
  }
  return all;
}

std::string to_text(const TensorCount& count) {
  if (count.tensors == 0) return "none";
  std::string all =
      text({std::to_string(count.tensors), count.tensors == 1 ? " tensor" : " tensors", " of ",
            std::to_string(count.elements), " elements, ", std::to_string(count.bytes), " bytes"});
  for (const std::string& dtype : count.dtypes) append_item(all, dtype);
  return all;
}

std::string to_text(const PackageBatch& batch) {
  return batch.min == batch.max
             ? std::to_string(batch.min)
             : text({std::to_string(batch.min), " to ", std::to_string(batch.max)});
}

std::string to_text(const std::vector<std::size_t>& sizes) {
  std::string all;
  for (const std::size_t size : sizes) append_item(all, std::to_string(size));
  return all;
}

/// "float32 [1, 8, 8] on cpu, 0 to 1".
std::string to_text(const TensorSpec& spec) {
  std::string all = to_string(spec);
  if (spec.values == TensorSpec::Values::finite) all.append(", finite");
  if (!spec.range.has_value()) return all;
  char limits[64];
  std::snprintf(limits, sizeof limits, ", %g to %g", spec.range->min, spec.range->max);
  return all.append(limits);
}

std::string to_text(const StateAttribute& attribute) {
  return text({attribute.type, " ", to_string(attribute.shape)});
}

/// "frozen from 1 row, optimized from 8 rows".
std::string runs_of(const ModelDescription& about) {
  std::string all;
  for (const FormRange& range : about.runs) {
    append_item(all, range.form);
    if (about.choice != FormChoice::measured) continue;
    all.append(" from ")
        .append(std::to_string(range.rows))
        .append(range.rows == 1 ? " row" : " rows");
  }
  const bool may_change = about.choice == FormChoice::unprepared && about.forms.size() > 1;
  return may_change ? all + " until prepared" : all;
}

/// Lines with a label each, in columns.
class Page {
 public:
  void line(std::string_view label, std::string_view says) {
    all_.append(label).append(label.size() < width ? width - label.size() : 1, ' ');
    all_.append(says).push_back('\n');
  }
  /// Items in two columns under one label.
  void items(std::string_view label, const std::vector<std::pair<std::string, std::string>>& all) {
    std::size_t widest = 0;
    for (const auto& [name, says] : all) widest = std::max(widest, name.size());
    for (const auto& [name, says] : all) {
      line(label, text({name, std::string(widest + 2 - name.size(), ' '), says}));
      label = {};
    }
  }
  std::string take() && { return std::move(all_); }

 private:
  static constexpr std::size_t width = 12;
  std::string all_;
};

std::string right(std::string_view says, std::size_t width = 9) {
  return std::string(width - std::min(width, says.size()), ' ').append(says);
}

/// A row for each form, a column for each batch size.
void show_forms(Page& page, const ModelDescription& about) {
  std::vector<std::size_t> sizes;
  for (const FormProfile::Form& form : about.forms) {
    for (const BatchCost& cost : form.costs) sizes.push_back(cost.rows);
  }
  std::ranges::sort(sizes);
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  std::vector<std::pair<std::string, std::string>> table;
  if (!sizes.empty()) {
    std::string head;
    for (const std::size_t size : sizes) head.append(right(std::to_string(size)));
    table.emplace_back("us by rows", head);
  }
  for (const FormProfile::Form& form : about.forms) {
    std::string row;
    for (const std::size_t size : form.costs.empty() ? std::vector<std::size_t>() : sizes) {
      const auto cost = std::ranges::find(form.costs, size, &BatchCost::rows);
      row.append(right(cost == form.costs.end() ? "-" : micros(cost->mean)));
    }
    if (!form.refused.empty()) append_item(row, "refused: " + form.refused);
    table.emplace_back(form.name, row.empty() ? "not timed" : row);
  }
  if (about.forms.size() > 1) page.items("forms", table);
  page.line("runs", runs_of(about));
}

void show_script(Page& page, const ScriptDescription& script) {
  std::string_view label = "methods";
  for (const ModelMethod& method : script.methods) {
    page.line(label, to_string(method));
    label = {};
  }
  if (!script.method.empty()) {
    page.line("serves", text({script.method, script.freeze == Freeze::yes ? ", frozen" : "",
                              script.optimize == Optimize::no ? "" : ", optimised",
                              script.profiling == Profiling::off ? "" : ", profiled as the host",
                              script.rows == RowsAs::batch ? "" : ", rows as lists",
                              script.is_training ? ", saved in training mode" : "",
                              script.reset.empty() ? "" : ", reset by ", script.reset}));
    if (!script.refused.empty()) page.line("as saved", script.refused);
  }
  std::vector<std::pair<std::string, std::string>> bound;
  for (const BoundArgument& one : script.arguments) {
    bound.emplace_back(one.name, detail::to_text(one.value));
  }
  page.items("bound", bound);
}

void show_package(Page& page, const PackageDescription& package) {
  page.line(
      "made for",
      text({package.device, " ", package.platform, " ", package.machine, " ", package.instructions,
            package.libtorch.empty() ? "" : ", with LibTorch ", package.libtorch}));
  page.line("batch", text({to_text(package.batch), " rows, ", std::to_string(package.runners),
                           package.runners == 1 ? " runner" : " runners"}));
}

void show_tensors(Page& page, const ModelDescription& about) {
  if (about.constants.tensors != 0) page.line("constants", to_text(about.constants));
  const bool are_all = about.parameters.tensors == 0 && about.buffers.tensors == 0;
  if (about.constants.tensors != 0 && are_all) return;
  page.line("parameters", to_text(about.parameters));
  page.line("buffers", to_text(about.buffers));
}

void show_specs(Page& page, std::string_view label, const std::vector<TensorSpec>& specs) {
  std::vector<std::pair<std::string, std::string>> items;
  for (const TensorSpec& spec : specs) items.emplace_back(spec.name, to_text(spec));
  page.items(label, items);
}

}  // namespace

std::string to_string(const ModelMethod& method) {
  std::string arguments;
  for (const ModelMethod::Argument& argument : method.arguments) {
    append_item(arguments, text({argument.name, ": ", argument.type}));
    if (argument.otherwise.has_value()) arguments.append(" = ").append(*argument.otherwise);
  }
  return text({method.name, "(", arguments, ") -> ", method.returns});
}

std::string to_string(const ModelDescription& about) {
  Page page;
  page.line(about.name.empty() ? "model" : about.name + ":",
            text({to_string(about.format), ", on ", to_string(about.device), ", with LibTorch ",
                  about.libtorch}));
  if (about.script.has_value()) show_script(page, *about.script);
  if (about.package.has_value()) show_package(page, *about.package);
  show_specs(page, "inputs", about.signature.inputs);
  show_specs(page, "outputs", about.signature.outputs);
  show_tensors(page, about);
  if (about.weights.has_value()) page.line("weights", to_string(*about.weights));
  if (about.state.empty()) {
    page.line("state", "none");
  } else {
    std::vector<std::pair<std::string, std::string>> kept;
    for (const StateAttribute& one : about.state) kept.emplace_back(one.name, to_text(one));
    page.items("state", kept);
  }
  if (!about.forms.empty()) show_forms(page, about);
  if (!about.warm_batches.empty()) page.line("warmed", "batches of " + to_text(about.warm_batches));
  return std::move(page).take();
}

namespace detail {

std::string to_text(const ArgumentValue& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::monostate>) {
          return "None";
        } else if constexpr (requires { python_text(held); }) {
          return python_text(held);
        } else {
          std::string all;
          for (const auto& item : held) {
            append_item(all, python_text(static_cast<typename Held::value_type>(item)));
          }
          return "[" + all + "]";
        }
      },
      value);
}

std::vector<std::pair<std::string, std::string>> options_of(const ModelDescription& about) {
  std::vector<std::pair<std::string, std::string>> options{{"format", to_string(about.format)}};
  if (about.script.has_value()) {
    const ScriptDescription& script = *about.script;
    options.emplace_back("method", script.method);
    options.emplace_back("frozen", script.freeze == Freeze::yes ? "yes"
                                   : script.refused.empty()     ? "no"
                                                                : "no: " + script.refused);
    options.emplace_back("optimised", script.optimize == Optimize::no ? "no" : "yes");
    options.emplace_back("profiling", script.profiling == Profiling::off ? "off" : "as host");
  }
  options.emplace_back("device", to_string(about.device));
  if (about.package.has_value()) {
    const PackageDescription& package = *about.package;
    options.emplace_back("instructions", package.instructions);
    options.emplace_back("batch_min", std::to_string(package.batch.min));
    options.emplace_back("batch_max", std::to_string(package.batch.max));
    options.emplace_back("runners", std::to_string(package.runners));
  }
  const TensorCount all = sum_of(about);
  options.emplace_back("parameters", std::to_string(all.elements));
  options.emplace_back("bytes", std::to_string(all.bytes));
  if (about.weights.has_value()) options.emplace_back("weights", to_string(*about.weights));
  if (!about.state.empty()) {
    std::string names;
    for (const StateAttribute& one : about.state) append_item(names, one.name);
    options.emplace_back("state", names);
    options.emplace_back("state_bytes", std::to_string(about.state_bytes));
    const bool has_reset = about.script.has_value() && !about.script->reset.empty();
    options.emplace_back("reset", has_reset ? about.script->reset : "as saved");
    options.emplace_back("forms", "not tried: it keeps a state");
  }
  if (about.forms.size() > 1) {
    for (const FormProfile::Form& form : about.forms) {
      std::string says = form.refused.empty() ? "" : "refused: " + form.refused;
      for (const BatchCost& cost : form.costs) {
        append_item(says, text({std::to_string(cost.rows), ": ", micros(cost.mean), " us"}));
      }
      options.emplace_back("form " + form.name, says.empty() ? "not tried yet" : says);
    }
    options.emplace_back("runs", runs_of(about));
  }
  options.emplace_back("warm_batches", galley::to_text(about.warm_batches));
  options.emplace_back("libtorch", about.libtorch);
  return options;
}

}  // namespace detail

}  // namespace galley::inline v1
