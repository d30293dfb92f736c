#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/policy/form.hpp>
#include <src/torch/difference.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/forms.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>

namespace galley::inline v1::detail {

namespace {

using SteadyClock = std::chrono::steady_clock;

Tensors run(const Call& call, const Columns& inputs) {
  Tensors outputs;
  call(inputs, outputs);
  return outputs;
}

/// How a form's answer differs from the model's, if it does.
std::optional<std::string> unlike(const Tensors& got, const Tensors& wanted,
                                  const std::vector<TensorSpec>& specs, const Tolerance& t) {
  const auto found = difference(got, wanted, t);
  if (!found.has_value()) return std::nullopt;
  // Of an output there may be a tensor for each row.
  return to_string(*found, specs[found->tensor * specs.size() / wanted.size()].name, "the model");
}

// The second of two calls: the first finds the caches full of what other forms left there.
Duration timed(const Call& call, const Columns& inputs) {
  run(call, inputs);
  const auto start = SteadyClock::now();
  const Tensors outputs = run(call, inputs);
  return SteadyClock::now() - start;
}

// What it takes where nothing else wants the machine: the lower quartile.
Duration typical(std::vector<Duration>& times) {
  const auto quarter = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 4);
  std::nth_element(times.begin(), quarter, times.end());
  return std::max(*quarter, Duration(1));
}

}  // namespace

Forms::Forms(std::string own_name, std::unique_ptr<Call> own, std::vector<FormMaker> makers,
             FormOptions options)
    : own_(std::move(own)), makers_(std::move(makers)), options_(std::move(options)) {
  entries_.push_back({.name = std::move(own_name), .call = own_});
  for (const FormMaker& maker : makers_) entries_.push_back({.name = maker.name});
}

Result<void> Forms::measure(const Columns& samples, const std::vector<TensorSpec>& outputs) {
  const std::lock_guard lock(mutex_);
  if (tried_) return {};
  make_all(samples, outputs);
  if (options_.pinned.empty() && entries_.size() > 1) time_all(samples, outputs);
  GALLEY_TRY(choose());
  tried_ = true;
  return {};
}

/// Makes the forms that are not there and not refused, but for those that are not asked for.
void Forms::make_all(const Columns& samples, const std::vector<TensorSpec>& outputs) {
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    const bool is_wanted = options_.pinned.empty() || options_.pinned == entry.name;
    if (!is_wanted || entry.call != nullptr || !entry.refused.empty()) continue;
    auto call = made(makers_[i - 1], samples, outputs);
    if (call.has_value()) {
      entry.call = *std::move(call);
    } else {
      entry.refused = call.error().detail;
    }
  }
}

Result<std::unique_ptr<Call>> Forms::made(const FormMaker& maker, const Columns& samples,
                                          const std::vector<TensorSpec>& outputs) const {
  try {
    GALLEY_TRY(std::unique_ptr<Call> call, maker.make());
    call->bind_outputs(samples, outputs);
    const auto differs = unlike(run(*call, samples), run(*own_, samples), outputs, maker.tolerance);
    if (differs.has_value()) return refused(*differs);
    return call;
  } catch (...) {
    return caught(Status::failed_precondition);
  }
}

/// Interleaved, so that whatever else the machine does befalls all alike.
void Forms::time_all(const Columns& samples, const std::vector<TensorSpec>& outputs) {
  constexpr std::size_t fewest = 3;
  constexpr std::size_t most = 60;
  const auto end = SteadyClock::now() + options_.budget;
  std::vector<std::size_t> sizes = options_.sizes;
  std::sort(sizes.begin(), sizes.end());
  Duration last{};  // one run of each form, at the size before
  std::size_t last_size = 0;
  for (const std::size_t size : sizes) {
    if (size == 0 || size == last_size) continue;
    const Duration left = end - SteadyClock::now();
    const auto growth =
        last_size == 0 ? std::int64_t{0} : static_cast<std::int64_t>(size / last_size) + 1;
    if (left < last * growth * static_cast<std::int64_t>(2 * fewest + 3)) return;
    const Columns inputs = repeated(samples, size);
    last = warm_all(inputs, outputs, size);
    last_size = size;
    const auto affordable = static_cast<std::size_t>(left / (8 * std::max(last, Duration(1))));
    std::vector<std::vector<Duration>> times(entries_.size());
    for (std::size_t n = std::clamp(affordable, fewest, most); n != 0; --n) {
      for (std::size_t turn = 0; turn < entries_.size(); ++turn) {
        // Not always after the same one: each leaves its own in the caches and the allocator.
        const std::size_t i = n % 2 == 0 ? turn : entries_.size() - 1 - turn;
        if (entries_[i].call != nullptr) times[i].push_back(timed(*entries_[i].call, inputs));
      }
    }
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (!times[i].empty()) entries_[i].costs.observe(size, typical(times[i]));
    }
  }
}

/// Runs each form twice, and drops those that answer otherwise at this size; what the second runs
/// took.
Duration Forms::warm_all(const Columns& inputs, const std::vector<TensorSpec>& outputs,
                         std::size_t size) {
  Duration all{};
  const Tensors wanted = run(*own_, inputs);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (entry.call == nullptr) continue;
    try {
      const Tensors got = run(*entry.call, inputs);
      const auto differs =
          i == 0 ? std::nullopt : unlike(got, wanted, outputs, makers_[i - 1].tolerance);
      if (differs.has_value()) throw std::runtime_error(*differs);
      all += timed(*entry.call, inputs);
    } catch (...) {
      if (i == 0) throw;
      entry.refused = text({"in a batch of ", std::to_string(size), ": ", caught().detail});
      entry.call = nullptr;
    }
  }
  return all;
}

std::size_t Forms::chosen(std::size_t rows) const {
  std::vector<CostTable> costs;
  for (const Entry& entry : entries_) {
    costs.push_back(entry.call != nullptr ? entry.costs : CostTable());
  }
  return fastest_form(costs, rows);
}

Result<void> Forms::choose() {
  auto table = std::make_unique<Table>();
  std::vector<std::size_t> forms;
  if (!options_.pinned.empty()) {
    const auto named = std::ranges::find(entries_, options_.pinned, &Entry::name);
    if (named == entries_.end()) {
      std::string all;
      for (const Entry& entry : entries_) all.append(all.empty() ? "" : ", ").append(entry.name);
      return refused(text({"options.forms.pinned: there is no form \"", options_.pinned,
                           "\" (there are ", all, ")"}));
    }
    if (named->call == nullptr) {
      return refused(text({"the form ", named->name, " cannot be used: ", named->refused}));
    }
    forms.push_back(static_cast<std::size_t>(named - entries_.begin()));
  } else {
    std::size_t largest = 1;
    for (const Entry& entry : entries_) {
      largest = std::max(largest, entry.costs.largest_seen());
    }
    for (std::size_t rows = 0; rows <= largest; ++rows) {
      forms.push_back(chosen(std::max<std::size_t>(rows, 1)));
    }
  }
  for (const std::size_t form : forms) {
    table->by_rows.push_back(entries_[form].call.get());
    if (std::ranges::find(used_, entries_[form].call) == used_.end()) {
      used_.push_back(entries_[form].call);
    }
  }
  const bool only_own = std::ranges::all_of(forms, [](std::size_t form) { return form == 0; });
  table_.store(only_own ? nullptr : table.get(), std::memory_order_release);
  tables_.push_back(std::move(table));
  forms_ = std::move(forms);
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    if (std::ranges::find(forms_, i) == forms_.end()) entries_[i].call = nullptr;
  }
  return {};
}

FormProfile Forms::profile() const {
  const std::lock_guard lock(mutex_);
  return known();
}

FormProfile Forms::known() const {
  FormProfile profile;
  for (const Entry& entry : entries_) {
    const CostProfile& costs = entry.costs.profile();
    profile.forms.push_back({entry.name, entry.refused, {costs.begin(), costs.end()}});
  }
  return profile;
}

Result<void> Forms::set_profile(const FormProfile& profile, const Columns& samples,
                                const std::vector<TensorSpec>& outputs) {
  const std::lock_guard lock(mutex_);
  std::vector<std::optional<CostTable>> costs(entries_.size());
  std::vector<std::string> refusals(entries_.size());
  for (const FormProfile::Form& form : profile.forms) {
    const auto named = std::ranges::find(entries_, form.name, &Entry::name);
    if (named == entries_.end()) continue;  // of another LibTorch, or tried no more
    GALLEY_TRY(costs[static_cast<std::size_t>(named - entries_.begin())],
               CostTable::of_profile({form.costs.begin(), form.costs.end()}));
    refusals[static_cast<std::size_t>(named - entries_.begin())] = form.refused;
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!costs[i].has_value()) continue;
    entries_[i].costs = *std::move(costs[i]);
    if (i != 0) entries_[i].refused = refusals[i];
  }
  make_all(samples, outputs);
  GALLEY_TRY(choose());
  tried_ = true;
  return {};
}

void Forms::describe(ModelDescription& about) const {
  const std::lock_guard lock(mutex_);
  if (entries_.front().name.empty()) return;  // there are none
  about.forms = known().forms;
  about.choice = !tried_                   ? FormChoice::unprepared
                 : options_.pinned.empty() ? FormChoice::measured
                                           : FormChoice::pinned;
  about.runs.clear();
  for (std::size_t rows = 1; rows == 1 || rows < forms_.size(); ++rows) {
    const std::size_t at = rows < forms_.size() ? forms_[rows] : forms_.empty() ? 0 : forms_.back();
    const std::string& form = entries_[at].name;
    if (about.runs.empty() || about.runs.back().form != form) about.runs.push_back({rows, form});
  }
}

}  // namespace galley::inline v1::detail
