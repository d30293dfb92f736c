// TorchScript modules that keep a state within themselves, and what the tests of them share.
#pragma once

#include <galley/core/context.hpp>
#include <galley/core/named_tensors.hpp>

#include "models.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace hidden {

using galley::f32;
using galley::i64;
using galley::Key;
using galley::ModuleState;
using galley::NamedTensors;
using galley::Result;
using galley::Rows;
using galley::ScriptOptions;
using galley::Status;
using galley::Tensor;
using torch::jit::Module;

using Stateful = galley::Servable<Tensor, Tensor>;

inline constexpr std::int64_t width = 6;

/// A module with these attributes beside the buffers.
struct Attribute {
  std::string name;
  c10::TypePtr type;
  c10::IValue value;
};
inline Module module(const std::string& source, const models::Parts& parts,
                     const std::vector<Attribute>& attributes = {}) {
  Module made("Model");
  for (const auto& [name, tensor] : parts) made.register_buffer(name, tensor);
  for (const Attribute& a : attributes) made.register_attribute(a.name, a.type, a.value);
  made.define(source);
  return made;
}

inline models::Parts weights_and(const std::string& state) {
  return {{"w", models::sines({width, width}, 1.7, 0.5)}, {state, at::zeros({1, width})}};
}

/// h goes on as h/2 + W·x: a new tensor each time, which is also the answer.
inline Module by_assignment() {
  return module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.h = self.h * 0.5 + torch.linear(x, self.w)\n"
      "    return self.h\n",
      weights_and("h"));
}

/// The same within the memory of one tensor.
inline Module in_place() {
  return module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.h.mul_(0.5).add_(torch.linear(x, self.w))\n"
      "    return self.h\n",
      weights_and("h"));
}

/// The same in a module within a module.
inline Module in_submodule() {
  Module outer("Outer");
  Module middle("Middle");
  middle.register_module("cell", by_assignment());
  middle.define("def forward(self, x: Tensor) -> Tensor:\n    return self.cell.forward(x)\n");
  outer.register_module("middle", middle);
  outer.define("def forward(self, x: Tensor) -> Tensor:\n    return self.middle.forward(x) + x\n");
  return outer;
}

/// The same where two names lead to the module.
inline Module in_shared_submodule() {
  Module outer("Outer");
  Module middle("Middle");
  const Module cell = by_assignment();
  middle.register_module("cell", cell);
  middle.define("def forward(self, x: Tensor) -> Tensor:\n    return self.cell.forward(x)\n");
  outer.register_module("middle", middle);
  outer.register_module("again", cell);
  outer.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return self.middle.forward(x) + self.again.forward(x * 2.0)\n");
  return outer;
}

/// A state that is None until the first row.
inline Module from_none() {
  return module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    h = self.h\n"
      "    if h is None:\n"
      "        h = torch.ones_like(x)\n"
      "    h = h * 0.5 + torch.linear(x, self.w)\n"
      "    self.h = h\n"
      "    return h + 1.0\n",
      {{"w", models::sines({width, width}, 1.7, 0.5)}},
      {{"h", c10::OptionalType::ofTensor(), c10::IValue()}});
}

/// A list that grows, a dict, an int and a tuple.
inline Module of_many_kinds() {
  c10::Dict<std::string, at::Tensor> sums;
  sums.insert("sum", at::zeros({1, width}));
  const auto pair = c10::TupleType::create({c10::TensorType::get(), c10::IntType::get()});
  return module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.count += 1\n"
      "    self.past.append(x * float(self.count))\n"
      "    self.sums['sum'] = self.sums['sum'] + x\n"
      "    self.pair = (self.pair[0] * 0.5 + x, self.pair[1] + 2)\n"
      "    both = self.sums['sum'] * 0.25 + self.pair[0] * float(self.pair[1])\n"
      "    return torch.cat(self.past).sum(0, keepdim=True) + both\n",
      {},
      {{"past", c10::ListType::ofTensors(), c10::List<at::Tensor>()},
       {"sums", c10::IValue(sums).type(), sums},
       {"count", c10::IntType::get(), std::int64_t{0}},
       {"pair", pair, c10::ivalue::Tuple::create(at::zeros({1, width}), std::int64_t{0})}});
}

/// What is in a list, and the memory that two tensors share, change in place.
inline Module in_place_elsewhere() {
  const at::Tensor both = at::zeros({2, width});
  c10::List<at::Tensor> sums;
  sums.push_back(at::zeros({1, width}));
  return module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.sums[0].add_(x)\n"
      "    self.both.mul_(0.5).add_(x)\n"
      "    return self.sums[0] * 2.0 + self.second\n",
      {{"both", both}, {"second", both.narrow(0, 1, 1)}},
      {{"sums", c10::ListType::ofTensors(), sums}});
}

/// A detector of voices as such are: it keeps the end of the chunk before and a state of its own,
/// and begins anew where the rate changes.
inline Module detector() {
  return module(
      "def reset_states(self, batch_size: int = 1) -> None:\n"
      "    self._state = torch.zeros([batch_size, 6])\n"
      "    self._context = torch.zeros([0])\n"
      "    self._last_sr = 0\n"
      "def forward(self, x: Tensor, sr: int) -> Tensor:\n"
      "    assert sr == 8000 or sr == 16000, 'no such rate'\n"
      "    if self._last_sr != 0 and self._last_sr != sr:\n"
      "        self.reset_states(x.size(0))\n"
      "    if self._context.numel() == 0:\n"
      "        self._context = torch.zeros([x.size(0), 2])\n"
      "    both = torch.cat([self._context, x], 1)\n"
      "    self._context = both[:, -2:]\n"
      "    self._last_sr = sr\n"
      "    part = both[:, 2:] if sr == 8000 else both[:, :-2]\n"
      "    self._state = torch.tanh(self._state * 0.5 + torch.linear(part, self.w))\n"
      "    return torch.sigmoid(self._state.sum(1, keepdim=True))\n",
      {{"w", models::sines({width, width}, 1.7, 0.5)},
       {"_state", at::ones({1, width})},
       {"_context", at::zeros({0})}},
      {{"_last_sr", c10::IntType::get(), std::int64_t{0}}});
}

inline ScriptOptions options(ModuleState state = {}) {
  return {.inputs = {{"x", f32, {width}}}, .state = std::move(state)};
}

template <class In = Tensor, class Out = Tensor>
galley::Servable<In, Out> served(const Module& made, ScriptOptions options) {
  auto servable = galley::torch_script<In, Out>(models::bytes(made), std::move(options));
  INFO((servable.has_value() ? "" : servable.error().detail));
  REQUIRE(servable.has_value());
  return *std::move(servable);
}

inline galley::Error refusal(const Module& made, ScriptOptions options) {
  const auto servable = galley::torch_script(models::bytes(made), std::move(options));
  REQUIRE_FALSE(servable.has_value());
  return servable.error();
}

template <class Out = Tensor, class In>
Result<Out> step(const galley::Servable<In, Out>& model, Key key, const In& row,
                 const galley::Context& context = {}) {
  const std::array keys{key};
  return model.serve(row, context, {.keys = keys});
}

/// A row that no other number has.
inline Tensor row_of(std::int64_t number) {
  const double step = 0.1 + 0.37 * static_cast<double>(number);
  return *models::rows(models::sines({1, width}, step, 1))[0].contiguous();
}

/// What the modules themselves answer, one for each sequence.
class Bare {
 public:
  explicit Bare(const Module& made) {
    std::ostringstream out;
    made.save(out);
    file_ = out.str();
  }

  Tensor operator()(Key key, const Tensor& row, std::optional<std::int64_t> rate = {}) {
    const c10::InferenceMode inference;
    if (!sequences_.contains(key)) {
      std::istringstream in(file_);
      sequences_.emplace(key, torch::jit::load(in));
    }
    std::vector<c10::IValue> inputs{models::torch_of(row).unsqueeze(0).clone()};
    if (rate.has_value()) inputs.emplace_back(*rate);
    return models::rows(sequences_.at(key).forward(inputs).toTensor().clone())[0];
  }

 private:
  std::string file_;
  std::map<Key, Module> sequences_;
};

template <class In, class Out>
std::string option(const galley::Servable<In, Out>& model, const std::string& name) {
  const galley::Description description = model.describe();
  for (const auto& [key, value] : description.options) {
    if (key == name) return value;
  }
  return "none";
}

}  // namespace hidden
