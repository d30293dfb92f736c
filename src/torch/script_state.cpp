#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/script_state.hpp>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace galley::inline v1::detail {

namespace {

constexpr std::size_t most_waste = 1024;  // bytes that a state's tensor may keep of a larger one

std::string within_path(const std::string& path, const std::string& name) {
  return path.empty() ? name : text({path, ".", name});
}

void add_attributes(const ScriptObject& object, const std::string& path,
                    std::unordered_set<const void*>& seen, std::vector<ScriptAttribute>& all) {
  if (!seen.insert(object.get()).second) return;
  const auto type = object->type();
  for (std::size_t slot = 0; slot < type->numAttributes(); ++slot) {
    const std::string name = within_path(path, type->getAttributeName(slot));
    const c10::IValue& value = object->getSlot(slot);
    if (value.isObject()) {
      add_attributes(value.toObject(), name, seen, all);
    } else {
      all.push_back({name, object, slot});
    }
  }
}

/// The way from the module to an object of its graph; nothing where it is not the module's.
std::optional<std::string> path_to(const torch::jit::Value* value,
                                   const torch::jit::Value* module) {
  std::string path;
  while (value != module) {
    const torch::jit::Node* node = value->node();
    if (node->kind() != c10::prim::GetAttr) return std::nullopt;
    const std::string& name = node->s(c10::attr::name);
    path = path.empty() ? name : text({name, ".", path});
    value = node->input(0);
  }
  return path;
}

void add_assignments(const torch::jit::Block& block, const torch::jit::Value* module,
                     std::vector<Assignment>& all) {
  for (const torch::jit::Node* node : block.nodes()) {
    if (node->kind() == c10::prim::SetAttr) {
      const std::string& name = node->s(c10::attr::name);
      const auto owner = path_to(node->input(0), module);
      all.push_back({within_path(owner.value_or(""), name), owner.has_value()});
    }
    for (const torch::jit::Block* inner : node->blocks()) add_assignments(*inner, module, all);
  }
}

std::optional<ScriptAttribute> find_attribute(const torch::jit::Module& module,
                                              const std::string& path) {
  ScriptObject owner = module._ivalue();
  for (std::size_t first = 0;;) {
    const std::size_t dot = path.find('.', first);
    const auto slot = owner->type()->findAttributeSlot(path.substr(first, dot - first));
    if (!slot.has_value()) return std::nullopt;
    if (dot == path.npos) return ScriptAttribute{path, owner, *slot};
    if (!owner->getSlot(*slot).isObject()) return std::nullopt;
    owner = owner->getSlot(*slot).toObject();
    first = dot + 1;
  }
}

const c10::StorageImpl* storage_of(const at::Tensor& tensor) {
  return tensor.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
}

/// Copies values with all that is in them. A tensor that is met twice is one tensor in the copies
/// too, and those that lie in one memory do so there.
class Copier {
 public:
  /// All that will be copied.
  explicit Copier(const ScriptState::Values& values) {
    for (const c10::IValue& value : values) note(value);
  }

  c10::IValue operator()(const c10::IValue& value) {
    if (value.isTensor()) return tensor(value.toTensor());
    if (value.isList()) {
      c10::impl::GenericList list = value.toList().copy();
      for (std::size_t i = 0; i < list.size(); ++i) list.set(i, (*this)(list.get(i)));
      return list;
    }
    if (value.isGenericDict()) {
      c10::impl::GenericDict dict = value.toGenericDict().copy();
      for (const auto& entry : dict) entry.setValue((*this)(entry.value()));
      return dict;
    }
    if (value.isTuple()) return tuple(value);
    return value.isObject() ? value.deepcopy() : value;
  }

  std::size_t bytes() const noexcept { return bytes_; }

 private:
  /// What tensors lie in.
  struct Memory {
    std::size_t tensors = 0;
    at::Tensor copy = {};  // of all its bytes; undefined: not yet made
  };

  void note(const c10::IValue& value) {
    if (value.isTensor()) {
      const at::Tensor& tensor = value.toTensor();
      if (!tensor.defined() || !copies_.try_emplace(tensor.unsafeGetTensorImpl()).second) return;
      if (tensor.layout() == at::kStrided) ++memories_[storage_of(tensor)].tensors;
    } else if (value.isList()) {
      for (const c10::IValue& element : value.toListRef()) note(element);
    } else if (value.isTuple()) {
      for (const c10::IValue& element : value.toTupleRef().elements()) note(element);
    } else if (value.isGenericDict()) {
      for (const auto& entry : value.toGenericDict()) note(entry.value());
    }
  }

  c10::IValue tensor(const at::Tensor& original) {
    if (!original.defined()) return original;
    at::Tensor& copy = copies_.at(original.unsafeGetTensorImpl());
    if (copy.defined()) return copy;
    if (original.layout() != at::kStrided) {
      copy = original.detach().clone();
    } else if (Memory& memory = memories_.at(storage_of(original)); memory.tensors == 1) {
      copy = original.detach().clone();
      bytes_ += copy.nbytes();
    } else {
      copy = at::empty({0}, original.options());
      copy.set_(copied(memory, original), original.storage_offset(), original.sizes(),
                original.strides());
    }
    return copy;
  }

  /// A copy of all the memory that a tensor lies in: one for all that do.
  c10::Storage copied(Memory& memory, const at::Tensor& tensor) {
    if (!memory.copy.defined()) {
      const c10::Storage& all = tensor.unsafeGetTensorImpl()->unsafe_storage();
      at::Tensor bytes = at::empty({0}, tensor.options().dtype(at::kByte));
      bytes.set_(all, 0, {static_cast<std::int64_t>(all.nbytes())}, {1});
      memory.copy = bytes.clone();
      bytes_ += all.nbytes();
    }
    return memory.copy.storage();
  }

  c10::IValue tuple(const c10::IValue& value) {
    std::vector<c10::IValue> elements;
    for (const c10::IValue& element : value.toTupleRef().elements()) {
      elements.push_back((*this)(element));
    }
    return c10::ivalue::Tuple::createNamed(std::move(elements), value.toTupleRef().type());
  }

  std::unordered_map<const c10::TensorImpl*, at::Tensor> copies_;  // undefined: not yet made
  std::unordered_map<const c10::StorageImpl*, Memory> memories_;
  std::size_t bytes_ = 0;
};

/// True when nobody else looks at the tensor, nor at the memory that it is a small part of.
bool is_wasteful(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != at::kStrided || tensor.use_count() != 1) return false;
  const c10::Storage& storage = tensor.unsafeGetTensorImpl()->unsafe_storage();
  return storage.use_count() == 1 && storage.nbytes() > tensor.nbytes() + most_waste;
}

/// What is to be in the place of a value whose tensors are small parts of others' memory; nothing
/// where it may stay. Lists and dicts are changed in place.
std::optional<c10::IValue> trimmed(const c10::IValue& value) {
  if (value.isTensor()) {
    if (is_wasteful(value.toTensor())) return value.toTensor().clone();
  } else if (value.isList()) {
    c10::List<c10::IValue> list = value.toList();
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (auto element = trimmed(value.toListRef()[i])) list.set(i, *std::move(element));
    }
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      if (auto element = trimmed(entry.value())) entry.setValue(*std::move(element));
    }
  } else if (value.isTuple()) {
    bool is_changed = false;
    std::vector<c10::IValue> elements;
    for (const c10::IValue& element : value.toTupleRef().elements()) {
      auto changed = trimmed(element);
      is_changed = is_changed || changed.has_value();
      elements.push_back(changed.has_value() ? *std::move(changed) : element);
    }
    if (is_changed) {
      return c10::ivalue::Tuple::createNamed(std::move(elements), value.toTupleRef().type());
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<ScriptAttribute> attributes_of(const torch::jit::Module& module) {
  std::vector<ScriptAttribute> all;
  std::unordered_set<const void*> seen;
  add_attributes(module._ivalue(), "", seen, all);
  return all;
}

torch::jit::Module copy_of(const torch::jit::Module& module) {
  std::vector<std::string> paths;
  for (const ScriptAttribute& attribute : attributes_of(module)) paths.push_back(attribute.path);
  const Result<ScriptState> all = ScriptState::of(module, paths, module);
  return all.has_value() && !paths.empty() ? all->fresh().self().toModule() : module.deepcopy();
}

bool has_attribute(const torch::jit::Module& module, const std::string& path) {
  return find_attribute(module, path).has_value();
}

std::vector<Assignment> assignments_in(const torch::jit::Graph& graph) {
  std::vector<Assignment> all;
  add_assignments(*graph.block(), graph.inputs().front(), all);
  return all;
}

bool is_among(std::string_view path, std::span<const std::string> paths) {
  return std::ranges::any_of(paths, [path](const std::string& one) {
    return path.starts_with(one) && (path.size() == one.size() || path[one.size()] == '.');
  });
}

/// The objects that hold attributes of a state, or such objects.
class ScriptState::Finder {
 public:
  Finder(ScriptState& made, const std::unordered_map<const void*, std::vector<std::size_t>>& slots)
      : made_(made), slots_(slots) {}

  /// True when `object` is one of them; all of them are at hand then, `object` last.
  bool find(const ScriptObject& object) {
    if (const auto known = numbers_.find(object.get()); known != numbers_.end()) {
      return known->second != none;
    }
    numbers_[object.get()] = none;
    bool holds = slots_.contains(object.get());
    for (std::size_t slot = 0; slot < object->slots().size(); ++slot) {
      if (!is_shared_object(*object, slot)) continue;
      holds = find(object->getSlot(slot).toObject()) || holds;
    }
    if (!holds) return false;
    numbers_[object.get()] = made_.objects_.size();
    made_.objects_.push_back(object);
    return true;
  }

  /// The places where they are.
  void link() {
    for (std::size_t number = 0; number < made_.objects_.size(); ++number) {
      const ScriptObject& object = made_.objects_[number];
      for (std::size_t slot = 0; slot < object->slots().size(); ++slot) {
        if (!is_shared_object(*object, slot)) continue;
        const std::size_t there = numbers_.at(object->getSlot(slot).toObject().get());
        if (there != none) made_.links_.push_back({{number, slot}, there});
      }
    }
  }

  std::size_t number(const ScriptObject& object) const { return numbers_.at(object.get()); }

 private:
  static constexpr std::size_t none = ~std::size_t{0};

  /// An object that is not itself an attribute of the state.
  bool is_shared_object(const c10::ivalue::Object& object, std::size_t slot) const {
    if (!object.getSlot(slot).isObject()) return false;
    const auto own = slots_.find(&object);
    return own == slots_.end() || std::ranges::find(own->second, slot) == own->second.end();
  }

  ScriptState& made_;
  const std::unordered_map<const void*, std::vector<std::size_t>>& slots_;
  std::unordered_map<const void*, std::size_t> numbers_;
};

Result<ScriptState> ScriptState::of(const torch::jit::Module& shared,
                                    std::span<const std::string> paths,
                                    const torch::jit::Module& initial) {
  ScriptState made;
  std::vector<ScriptAttribute> attributes;
  std::unordered_map<const void*, std::vector<std::size_t>> slots;
  for (const std::string& path : paths) {
    auto attribute = find_attribute(shared, path);
    const auto first = find_attribute(initial, path);
    if (!attribute.has_value() || !first.has_value()) {
      return refused(text({"options.state: the model has no attribute \"", path, "\""}));
    }
    std::vector<std::size_t>& of_owner = slots[attribute->owner.get()];
    if (std::ranges::find(of_owner, attribute->slot) != of_owner.end()) continue;  // another name
    made.paths_.push_back(path);
    made.initial_.push_back(first->value());
    of_owner.push_back(attribute->slot);
    attributes.push_back(*std::move(attribute));
  }
  Copier copy(made.initial_);
  for (c10::IValue& value : made.initial_) value = copy(value);
  made.bytes_ = copy.bytes();
  Finder finder(made, slots);
  finder.find(shared._ivalue());
  finder.link();
  for (const ScriptAttribute& attribute : attributes) {
    made.places_.push_back({finder.number(attribute.owner), attribute.slot});
  }
  return made;
}

ScriptState::State ScriptState::fresh() const {
  const c10::InferenceMode inference;
  State state;
  state.objects_.reserve(objects_.size());
  for (const ScriptObject& object : objects_) state.objects_.push_back(object->copy());
  for (const Link& link : links_) {
    state.objects_[link.place.object]->setSlot(link.place.slot, state.objects_[link.object]);
  }
  Copier copy(initial_);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    state.objects_[places_[i].object]->setSlot(places_[i].slot, copy(initial_[i]));
  }
  return state;
}

ScriptState::Values ScriptState::save(const State& state) const {
  Values values;
  values.reserve(places_.size());
  for (const Place& place : places_) {
    values.push_back(state.objects_[place.object]->getSlot(place.slot));
  }
  Copier copy(values);
  for (c10::IValue& value : values) value = copy(value);
  return values;
}

void ScriptState::restore(State& state, Values&& values) const noexcept {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    state.objects_[places_[i].object]->setSlot(places_[i].slot, std::move(values[i]));
  }
}

void ScriptState::trim(State& state) const {
  for (const Place& place : places_) {
    const ScriptObject& owner = state.objects_[place.object];
    if (auto value = trimmed(owner->getSlot(place.slot))) owner->setSlot(place.slot, *value);
  }
}

}  // namespace galley::inline v1::detail
