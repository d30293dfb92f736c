// Chain: rows that one level does not settle go on to the next; what cascades and fallbacks are.
#pragma once

#include <galley/core/pinned.hpp>
#include <galley/core/servable.hpp>

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// What each level of a cascade or fallback took, as answered to `control`.
struct ChainStatistics {
  struct Level {
    std::string name;        ///< The level's servable.
    std::uint64_t rows = 0;  ///< That came to it.
    std::uint64_t answered =
        0;  ///< Of those, that it settled: by a value, or by an error that stays.
  };
  std::vector<Level> levels;
};

namespace detail {

/// What a chain has settled of one batch so far.
template <class Out>
class ChainProgress {
 public:
  /// All of a batch's rows are open.
  explicit ChainProgress(std::size_t rows) : open_(rows) {
    std::iota(open_.begin(), open_.end(), RowIndex{0});
  }

  /// The rows of the batch that the next level is to answer, ascending.
  const std::vector<RowIndex>& open() const noexcept { return open_; }

  /// Takes what a level said of the open rows; those at `next`, as numbers among them, stay open.
  void settle(Outcomes<Out>&& outcomes, const std::vector<RowIndex>& next, Workspace* workspace) {
    if (next.size() == open_.size()) return;
    Part& part = parts_.emplace_back();
    std::vector<RowIndex> still_open;
    std::vector<RowIndex> settled;  // as numbers among the open ones
    still_open.reserve(next.size());
    for (std::size_t i = 0; i < open_.size(); ++i) {
      if (still_open.size() < next.size() && next[still_open.size()] == i) {
        still_open.push_back(open_[i]);
      } else {
        settled.push_back(static_cast<RowIndex>(i));
        part.rows.push_back(open_[i]);
      }
    }
    part.outcomes = select(std::move(outcomes), settled, workspace);
    open_ = std::move(still_open);
  }

  /// The outcomes of the whole batch, once no row is open.
  Outcomes<Out> merged(std::size_t rows, Workspace* workspace) && {
    std::vector<PartOutcomes<Out>> parts;
    parts.reserve(parts_.size());
    for (Part& part : parts_) parts.push_back({part.rows, std::move(part.outcomes)});
    return merge<Out>(rows, parts, workspace);
  }

 private:
  struct Part {
    std::vector<RowIndex> rows;
    Outcomes<Out> outcomes;
  };
  std::vector<RowIndex> open_;
  std::vector<Part> parts_;
};

/// Rows pass `levels` in order until `Rule` says that one has settled them; the last always does.
///
/// A rule has `kind`, `settles_all(outcomes)`, which may be quick where it can say so for all,
/// `settles(level, outcome)`, a `Result<bool>` for one row, whose error becomes the row's, and
/// `describe(Description&)`.
template <class In, class Out, class Rule, class Mode>
class ChainNode {
 public:
  static constexpr const char* kind = Rule::kind;

  ChainNode(std::vector<Servable<In, Out>> levels, Rule rule)
      : levels_(std::move(levels)),
        rule_(std::move(rule)),
        counts_(std::make_unique<Count[]>(levels_.size())) {}

  NodeTraits traits() const {
    NodeTraits traits = levels_.front().traits();
    for (const auto& level : levels_) traits = traits & level.traits();
    return traits;
  }
  std::size_t frame_bytes() const {
    std::size_t bytes = Frame::bytes_for<Call>();
    for (const auto& level : levels_) bytes += level.node().frame_bytes;
    return bytes;
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    for (const auto& level : levels_) visit(level.node());
  }
  void describe(Description& d) const { rule_.describe(d); }
  Result<void> control(ControlRequest& request) const {
    auto* statistics = request.as<ChainStatistics>();
    if (statistics == nullptr) {
      return Error(Status::unimplemented, std::string("a ") + kind +
                                              " knows galley::ChainStatistics, not " +
                                              std::string(request.type_name()));
    }
    statistics->levels.clear();
    for (std::size_t i = 0; i < levels_.size(); ++i) {
      const std::uint64_t came = counts_[i].rows.load(std::memory_order_relaxed);
      const std::uint64_t went = counts_[i].went_on.load(std::memory_order_relaxed);
      statistics->levels.push_back({levels_[i].name(), came, came - std::min(came, went)});
    }
    return {};
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    const PinnedContext pinned(context, traits_, [this](auto visit) { each_child(visit); });
    if (levels_.size() == 1) return levels_.front().serve_batch(batch, pinned.view());
    Outcomes<Out> first = levels_.front().serve_batch(batch.borrowed(), pinned.view());
    if (settles_all(0, first)) [[likely]]
      return first;
    std::vector<RowIndex> next = unsettled(0, first);
    if (next.empty()) return first;
    return go_on(batch, pinned.view(), std::move(first), std::move(next));
  }

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    frame.make<Call>(*this, std::move(rows), context, frame, std::move(done)).begin();
  }

 private:
  /// Relaxed: nothing is handed over by them.
  struct Count {
    std::atomic<std::uint64_t> rows{0}, went_on{0};
  };

  void count(std::size_t level, std::size_t rows, std::size_t went_on) const {
    counts_[level].rows.fetch_add(rows, std::memory_order_relaxed);
    if (went_on != 0) counts_[level].went_on.fetch_add(went_on, std::memory_order_relaxed);
  }

  /// True, and counted, where a level settles all that came to it.
  bool settles_all(std::size_t level, const Outcomes<Out>& outcomes) const {
    if (level + 1 != levels_.size() && !rule_.settles_all(outcomes)) return false;
    count(level, outcomes.size(), 0);
    return true;
  }

  /// The rows, as numbers among the outcomes, that a level does not settle. A rule that fails for a
  /// row settles it: by the rule's error.
  std::vector<RowIndex> unsettled(std::size_t level, Outcomes<Out>& outcomes) const {
    std::vector<RowIndex> next;
    std::vector<std::pair<RowIndex, Error>> failed;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      Result<bool> settled = rule_.settles(level, outcomes[i]);
      if (!settled.has_value()) {
        failed.emplace_back(static_cast<RowIndex>(i), std::move(settled).error());
      } else if (!*settled) {
        next.push_back(static_cast<RowIndex>(i));
      }
    }
    if (!failed.empty()) outcomes = with_failures(std::move(outcomes), failed);
    count(level, outcomes.size(), next.size());
    return next;
  }

  static Outcomes<Out> with_failures(Outcomes<Out>&& outcomes,
                                     std::span<std::pair<RowIndex, Error>> failed) {
    const std::size_t rows = outcomes.size();
    Casualties bad;
    for (auto& [row, error] : failed) bad.append(row, std::move(error));
    const std::vector<RowIndex> good = survivors_of(rows, bad);
    return with_earlier(std::move(bad), select(std::move(outcomes), good));
  }

  /// Asks the other levels for the rows at `next`, which the first did not settle.
  [[gnu::noinline]] Outcomes<Out> go_on(const Batch<In>& batch, const BatchContext& context,
                                        Outcomes<Out>&& outcomes,
                                        std::vector<RowIndex> next) const {
    ChainProgress<Out> progress(batch.size());
    for (std::size_t level = 1; !next.empty(); ++level) {
      progress.settle(std::move(outcomes), next, context.workspace());
      std::vector<RowIndex> places;
      places.reserve(progress.open().size());
      for (const RowIndex row : progress.open()) {
        places.push_back(static_cast<RowIndex>(batch.place(row)));
      }
      const ContextSelection selected(context, progress.open());
      const Batch<In> rest = batch.at_places(places);
      const bool last = level + 1 == levels_.size();
      outcomes = levels_[level].serve_batch(last ? rest : rest.borrowed(), selected.view());
      next = settles_all(level, outcomes) ? std::vector<RowIndex>() : unsettled(level, outcomes);
    }
    if (progress.open().size() == batch.size()) return std::move(outcomes);
    progress.settle(std::move(outcomes), next, context.workspace());
    return std::move(progress).merged(batch.size(), context.workspace());
  }

  /// A request on its way through the levels; one level at a time has it.
  struct Call {
    Call(const ChainNode& node, Rows<In>&& batch, const BatchContext& request, Frame& memory,
         BatchCompletion<Out>&& owed)
        : chain(node),
          rows(std::move(batch)),
          pinned(request, chain.traits_, [&](auto visit) { chain.each_child(visit); }),
          frame(memory),
          done(std::move(owed)) {}

    void begin() { ask(pinned.view()); }

    /// Submits the open rows to the level.
    void ask(const BatchContext& context) {
      Result<Rows<In>> asked = Mode::template call<Rows<In>>([&] { return open_rows(); });
      if (!asked.has_value()) return refuse(asked.error());
      const std::size_t n = asked->size();
      chain.levels_[level].submit_batch(
          *std::move(asked), context, frame,
          BatchCompletion<Out>(
              n, [this](Outcomes<Out>&& outcomes) { answered(std::move(outcomes)); },
              NoExceptions()));
    }

    /// The rows for the level: moved at their last use, else copied.
    Rows<In> open_rows() {
      const bool last = level + 1 == chain.levels_.size();
      if (!progress.has_value()) return last ? std::move(rows) : Rows<In>(rows);
      return last ? std::move(rows).select(progress->open()) : rows.select(progress->open());
    }

    /// Rows could not be copied: those that are open fail.
    void refuse(const Error& error) {
      const std::size_t n = done.rows();
      if (!progress.has_value()) return done_with(Outcomes<Out>::failed(n, error));
      progress->settle(Outcomes<Out>::failed(progress->open().size(), error), {}, nullptr);
      done_with(std::move(*progress).merged(n, nullptr));
    }

    void answered(Outcomes<Out>&& outcomes) {
      const FrameRef keep(frame);  // answering may let go of the request's own reference
      const std::vector<RowIndex> next = chain.settles_all(level, outcomes)
                                             ? std::vector<RowIndex>()
                                             : chain.unsettled(level, outcomes);
      const std::size_t n = done.rows();
      if (next.empty() && (!progress.has_value() || progress->open().size() == n)) {
        return done_with(std::move(outcomes));
      }
      if (!progress.has_value()) progress.emplace(n);
      progress->settle(std::move(outcomes), next, nullptr);
      if (next.empty()) return done_with(std::move(*progress).merged(n, nullptr));
      ++level;
      ask(open.emplace(pinned.view(), progress->open()).view());
    }

    void done_with(Outcomes<Out>&& outcomes) {
      BatchCompletion<Out> owed = std::move(done);
      this->~Call();
      owed(std::move(outcomes));
    }

    const ChainNode& chain;
    Rows<In> rows;
    PinnedContext pinned;
    Frame& frame;
    BatchCompletion<Out> done;
    std::size_t level = 0;
    std::optional<ChainProgress<Out>> progress;  // once some rows are settled and others are not
    std::optional<ContextSelection> open;
  };

  std::vector<Servable<In, Out>> levels_;
  Rule rule_;
  NodeTraits traits_ = traits();
  std::unique_ptr<Count[]> counts_;
};

}  // namespace detail

}  // namespace galley::inline v1
