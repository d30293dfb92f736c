#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/script_arguments.hpp>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

namespace galley::inline v1::detail {

namespace {

using c10::TypeKind;
using c10::TypePtr;

/// T of Optional[T], else the type itself.
TypePtr plain_type(const TypePtr& type) {
  const auto optional = type->cast<c10::OptionalType>();
  return optional != nullptr ? optional->getElementType() : type;
}

bool is_tensor(const TypePtr& type) {
  return type->kind() == TypeKind::TensorType;
}

/// What a row holds for an argument that is no tensor: nothing for types that have no such form.
std::optional<TensorSpec> spec_of_value(const TypePtr& type) {
  switch (type->kind()) {
    case TypeKind::IntType:
      return TensorSpec{"", i64, {}};
    case TypeKind::FloatType:
      return TensorSpec{"", f64, {}};
    case TypeKind::BoolType:
      return TensorSpec{"", boolean, {}};
    case TypeKind::StringType:
      return TensorSpec{"", u8, {any}};
    case TypeKind::ListType: {
      auto element = spec_of_value(type->cast<c10::ListType>()->getElementType());
      if (!element.has_value() || element->shape.rank() != 0) return std::nullopt;
      element->shape = {any};
      return element;
    }
    default:
      return std::nullopt;
  }
}

std::string text_of(const TensorSpec& spec) {
  return text({to_string(spec.dtype), " ", to_string(spec.shape)});
}

/// One row's value as the method takes it.
c10::IValue value_of(const at::Tensor& row, const c10::Type& type) {
  switch (type.kind()) {
    case TypeKind::IntType:
      return row.item<std::int64_t>();
    case TypeKind::FloatType:
      return row.item<double>();
    case TypeKind::BoolType:
      return row.item<bool>();
    case TypeKind::StringType: {
      const at::Tensor bytes = row.to(at::kCPU).contiguous();
      return std::string(static_cast<const char*>(bytes.data_ptr()),
                         static_cast<std::size_t>(bytes.numel()));
    }
    default: {
      const TypePtr element = type.castRaw<c10::ListType>()->getElementType();
      c10::impl::GenericList list(element);
      for (std::int64_t i = 0; i < row.size(0); ++i) list.push_back(value_of(row[i], *element));
      return list;
    }
  }
}

/// A bound value, if it is of this type.
std::optional<c10::IValue> bound_value(const ArgumentValue& value, const TypePtr& type) {
  if (std::holds_alternative<std::monostate>(value)) {
    const bool may_lack =
        type->kind() == TypeKind::OptionalType || type->kind() == TypeKind::NoneType;
    return may_lack ? std::optional(c10::IValue()) : std::nullopt;
  }
  const TypePtr wanted = plain_type(type);
  const auto list_of = [&wanted](TypeKind element) {
    const auto list = wanted->cast<c10::ListType>();
    return list != nullptr && list->getElementType()->kind() == element;
  };
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    if (wanted->kind() == TypeKind::IntType) return *number;
  } else if (const auto* real = std::get_if<double>(&value)) {
    if (wanted->kind() == TypeKind::FloatType) return *real;
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    if (wanted->kind() == TypeKind::BoolType) return *flag;
  } else if (const auto* string = std::get_if<std::string>(&value)) {
    if (wanted->kind() == TypeKind::StringType) return *string;
  } else if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(&value)) {
    if (list_of(TypeKind::IntType)) return *numbers;
  } else if (const auto* reals = std::get_if<std::vector<double>>(&value)) {
    if (list_of(TypeKind::FloatType)) return *reals;
  } else if (const auto* flags = std::get_if<std::vector<bool>>(&value)) {
    if (list_of(TypeKind::BoolType)) return *flags;
  } else if (const auto* strings = std::get_if<std::vector<std::string>>(&value)) {
    if (list_of(TypeKind::StringType)) return *strings;
  }
  return std::nullopt;
}

const char* name_of(const ArgumentValue& value) {
  constexpr const char* names[] = {"None",       "bool",      "int",         "float",    "str",
                                   "List[bool]", "List[int]", "List[float]", "List[str]"};
  static_assert(std::variant_size_v<ArgumentValue> == std::size(names));
  return names[value.index()];
}

}  // namespace

/// Finds out what each argument is given.
class ScriptArguments::Binder {
 public:
  Binder(const c10::FunctionSchema& schema, std::span<const TensorSpec> declared,
         std::span<const BoundArgument> bound, RowsAs rows)
      : schema_(schema),
        declared_(declared),
        bound_(bound),
        rows_(rows),
        is_used_(declared.size(), false),
        is_bound_(bound.size(), false) {
    for (const c10::Argument& argument : arguments()) {
      by_name_ = by_name_ || std::ranges::any_of(declared_, [&](const TensorSpec& spec) {
                   return is_of(spec.name, argument.name());
                 });
    }
  }

  Result<ScriptArguments> bind() {
    for (const c10::Argument& argument : arguments()) {
      GALLEY_TRY(Slot slot, slot_of(argument));
      made_.slots_.push_back(std::move(slot));
    }
    for (std::size_t i = 0; i < bound_.size(); ++i) {
      if (!is_bound_[i]) return refused(no_such("options.arguments", bound_[i].name));
    }
    if (by_name_) {
      for (std::size_t i = 0; i < declared_.size(); ++i) {
        if (!is_used_[i]) return refused(no_such("options.inputs", declared_[i].name));
        made_.names_.push_back(declared_[i].name);
      }
    }
    if (made_.names_.empty()) return refused(text({schema_.name(), " takes no tensor"}));
    return std::move(made_);
  }

 private:
  std::span<const c10::Argument> arguments() const {
    return std::span(schema_.arguments()).subspan(1);  // 0 is the module itself
  }

  static bool is_of(std::string_view name, std::string_view argument) {
    return name == argument || (name.starts_with(argument) && name[argument.size()] == '.');
  }

  std::string no_such(std::string_view where, std::string_view name) const {
    std::string all;
    for (const c10::Argument& argument : arguments()) {
      all.append(all.empty() ? "" : ", ").append(argument.name());
      all.append(": ").append(argument.type()->repr_str());
    }
    return text({where, ": ", schema_.name(), " takes no \"", name, "\" (it takes ", all, ")"});
  }
  std::string of(std::string_view path) const {
    return text({schema_.name(), "'s argument \"", path, "\""});
  }

  Result<Slot> slot_of(const c10::Argument& argument) {
    const std::string& name = argument.name();
    GALLEY_TRY(std::optional<c10::IValue> constant, constant_of(argument));
    const bool is_declared =
        by_name_ && std::ranges::any_of(
                        declared_, [&](const TensorSpec& spec) { return is_of(spec.name, name); });
    if (is_declared) {
      if (is_bound(name)) return refused(text({of(name), " is bound, and declared as an input"}));
      return slot_at(name, plain_type(argument.type()));
    }
    if (constant.has_value()) return Slot{.constant = *std::move(constant)};
    if (by_name_ && argument.type()->kind() == TypeKind::OptionalType) return Slot{};
    const TypePtr type = plain_type(argument.type());
    if (by_name_ && (is_tensor(type) || is_tensors(type))) {
      return refused(text({of(name), ", ", type->repr_str(), ": nothing is given for it"}));
    }
    return slot_at(name, type);
  }

  bool is_bound(const std::string& name) const {
    return std::ranges::any_of(bound_, [&](const BoundArgument& one) { return one.name == name; });
  }

  /// What was bound, else what the method takes where nothing is said.
  Result<std::optional<c10::IValue>> constant_of(const c10::Argument& argument) {
    std::optional<c10::IValue> found;
    for (std::size_t i = 0; i < bound_.size(); ++i) {
      if (bound_[i].name != argument.name()) continue;
      if (found.has_value()) return refused(text({of(argument.name()), " is bound twice"}));
      found = bound_value(bound_[i].value, argument.type());
      if (!found.has_value()) {
        return refused(text({of(argument.name()), ": expected ", argument.type()->repr_str(),
                             ", got ", name_of(bound_[i].value)}));
      }
      is_bound_[i] = true;
    }
    if (!found.has_value() && argument.default_value().has_value()) {
      found = *argument.default_value();
    }
    return found;
  }

  /// Tuples, lists and dicts of tensors, and of such.
  static bool is_tensors(const TypePtr& type) {
    if (const auto tuple = type->cast<c10::TupleType>()) {
      return std::ranges::all_of(tuple->elements(), [](const TypePtr& element) {
        return is_tensor(element) || is_tensors(element);
      });
    }
    if (const auto list = type->cast<c10::ListType>()) return is_tensor(list->getElementType());
    if (const auto dict = type->cast<c10::DictType>()) {
      return dict->getKeyType()->kind() == TypeKind::StringType && is_tensor(dict->getValueType());
    }
    return false;
  }

  Result<Slot> slot_at(const std::string& path, const TypePtr& type) {
    if (is_tensor(type)) {
      GALLEY_TRY(const std::size_t input, input_at(path));
      return Slot{.kind = Slot::Kind::tensor, .input = input};
    }
    if (const auto tuple = type->cast<c10::TupleType>(); tuple != nullptr && is_tensors(type)) {
      return tuple_at(path, tuple->elements());
    }
    if (rows_ == RowsAs::list && type->kind() == TypeKind::ListType && is_tensors(type)) {
      GALLEY_TRY(const std::size_t input, input_at(path));
      return Slot{.kind = Slot::Kind::rows, .input = input};
    }
    if (is_tensors(type)) {
      return type->kind() == TypeKind::ListType ? list_at(path) : dict_at(path);
    }
    return value_at(path, type);
  }

  Result<Slot> tuple_at(const std::string& path, c10::ArrayRef<TypePtr> elements) {
    Slot slot{.kind = Slot::Kind::tuple};
    for (std::size_t i = 0; i < elements.size(); ++i) {
      GALLEY_TRY(Slot part, slot_at(text({path, ".", std::to_string(i)}), elements[i]));
      slot.parts.push_back(std::move(part));
    }
    return slot;
  }

  /// As many as are declared, from 0 on.
  Result<Slot> list_at(const std::string& path) {
    Slot slot{.kind = Slot::Kind::list};
    for (;;) {
      const std::string name = text({path, ".", std::to_string(slot.parts.size())});
      if (!declares(name)) break;
      GALLEY_TRY(const std::size_t input, input_at(name));
      slot.parts.push_back(Slot{.kind = Slot::Kind::tensor, .input = input});
    }
    if (slot.parts.empty()) {
      return refused(text({of(path), " is a list of tensors: declare its elements as inputs \"",
                           path, ".0\", \"", path, ".1\", …"}));
    }
    return slot;
  }

  /// The keys that are declared.
  Result<Slot> dict_at(const std::string& path) {
    Slot slot{.kind = Slot::Kind::dict};
    for (const TensorSpec& spec : declared_) {
      if (!by_name_ || !is_of(spec.name, path) || spec.name.size() <= path.size() + 1) continue;
      GALLEY_TRY(const std::size_t input, input_at(spec.name));
      slot.parts.push_back(Slot{.kind = Slot::Kind::tensor, .input = input});
      slot.keys.push_back(spec.name.substr(path.size() + 1));
    }
    if (slot.parts.empty()) {
      return refused(text(
          {of(path), " is a dict of tensors: declare its elements as inputs \"", path, ".key\""}));
    }
    return slot;
  }

  Result<Slot> value_at(const std::string& path, const TypePtr& type) {
    const std::optional<TensorSpec> wanted = spec_of_value(type);
    if (!wanted.has_value()) {
      return refused(text({of(path), ": expected Tensor, got ", type->repr_str()}));
    }
    if (!declares(path)) {
      return refused(text({of(path), ": expected Tensor, got ", type->repr_str(),
                           ": bind a value in options.arguments, or declare it as an input ",
                           text_of(*wanted)}));
    }
    GALLEY_TRY(const std::size_t input, input_at(path));
    const TensorSpec& got = declared_[input];
    if (got.dtype != wanted->dtype || got.shape.rank() != wanted->shape.rank()) {
      return refused(text({of(path), " is ", type->repr_str(), ": expected an input ",
                           text_of(*wanted), ", got ", text_of(got)}));
    }
    made_.values_.push_back(input);
    return Slot{.kind = Slot::Kind::value, .input = input, .type = type};
  }

  bool declares(std::string_view name) const {
    return by_name_ && std::ranges::any_of(
                           declared_, [name](const TensorSpec& spec) { return spec.name == name; });
  }

  /// The input for the tensor at `path`: the one of that name, or the next.
  Result<std::size_t> input_at(const std::string& path) {
    if (!by_name_) {
      made_.names_.push_back(path);
      return made_.names_.size() - 1;
    }
    for (std::size_t i = 0; i < declared_.size(); ++i) {
      if (declared_[i].name != path) continue;
      is_used_[i] = true;
      return i;
    }
    return refused(text({of(path), ": no input of that name is declared"}));
  }

  const c10::FunctionSchema& schema_;
  std::span<const TensorSpec> declared_;
  std::span<const BoundArgument> bound_;
  RowsAs rows_;
  std::vector<bool> is_used_;
  std::vector<bool> is_bound_;
  bool by_name_ = false;
  ScriptArguments made_;
};

Result<ScriptArguments> ScriptArguments::of(const c10::FunctionSchema& schema,
                                            std::span<const TensorSpec> declared,
                                            std::span<const BoundArgument> bound, RowsAs rows) {
  return Binder(schema, declared, bound, rows).bind();
}

[[gnu::hot]] void ScriptArguments::push(std::span<const at::Tensor> inputs,
                                        torch::jit::Stack& stack) const {
  for (const Slot& slot : slots_) {
    if (slot.kind == Slot::Kind::tensor) [[likely]] {
      stack.emplace_back(inputs[slot.input]);
    } else {
      stack.push_back(make(slot, inputs));
    }
  }
}

c10::IValue ScriptArguments::make(const Slot& slot, std::span<const at::Tensor> inputs) {
  switch (slot.kind) {
    case Slot::Kind::constant:
      return slot.constant;
    case Slot::Kind::tensor:
      return inputs[slot.input];
    case Slot::Kind::value:
      return value_of(inputs[slot.input][0], *slot.type);
    case Slot::Kind::tuple: {
      std::vector<c10::IValue> parts;
      for (const Slot& part : slot.parts) parts.push_back(make(part, inputs));
      return c10::ivalue::Tuple::create(std::move(parts));
    }
    case Slot::Kind::list: {
      c10::List<at::Tensor> list;
      for (const Slot& part : slot.parts) list.push_back(inputs[part.input]);
      return list;
    }
    case Slot::Kind::dict: {
      c10::Dict<std::string, at::Tensor> dict;
      for (std::size_t i = 0; i < slot.parts.size(); ++i) {
        dict.insert(slot.keys[i], inputs[slot.parts[i].input]);
      }
      return dict;
    }
    case Slot::Kind::rows:
      return c10::List<at::Tensor>(inputs[slot.input].unbind(0));
  }
  return {};
}

}  // namespace galley::inline v1::detail
