#include <sim/oracle.hpp>

#include <algorithm>
#include <chrono>

namespace bench::sim {

namespace {

using rivals::Triton;

/// Maximum sizes worth trying.
std::vector<std::size_t> maxima(std::size_t limit) {
  std::vector<std::size_t> sizes;
  for (std::size_t power = 1; power <= limit; power *= 2) {
    sizes.push_back(power);
    if (power > 1 && power * 3 / 2 <= limit) sizes.push_back(power * 3 / 2);
  }
  return sizes;
}

/// Diverging is worse than any p99.
bool better(const Figures& a, const Figures& b) {
  return a.diverges != b.diverges ? b.diverges : a.p99 < b.p99;
}

}  // namespace

std::vector<Duration> floor_of(const World& world) {
  const std::size_t count = world.arrivals.size();
  std::vector<std::int64_t> noise(count);
  for (std::size_t i = 0; i < count; ++i) noise[i] = world.noise(i);
  std::vector<Duration> done(count + 1);  // E
  std::vector<Duration> least(count);
  for (std::size_t j = 1; j <= count; ++j) {
    const Duration arrived = world.arrivals[j - 1];
    done[j] = Duration::max();
    for (std::size_t rows = 1; rows <= std::min(j, world.curve->limit()); ++rows) {
      const Duration mean = world.curve->at(rows);
      const Duration cost = mean + mean * noise[j - rows] / 65536;
      done[j] = std::min(done[j], std::max(done[j - rows], arrived) + cost);
    }
    least[j - 1] = done[j] - arrived;
  }
  return least;
}

double goodput_bound(const World& world) {
  const Duration row = world.curve->gap(100, world.executors);
  const std::size_t first = world.arrivals.size() / 20;
  Duration free = {};
  double in_time = 0;
  for (std::size_t i = 0; i < world.arrivals.size(); ++i) {
    const Duration ends = std::max(free, world.arrivals[i]) + row;
    if (ends > world.arrivals[i] + world.curve->objective()) continue;
    free = ends;
    in_time += i >= first ? 1 : 0;
  }
  const Duration span = world.arrivals.back() - world.arrivals[first];
  return in_time * static_cast<double>(row.count()) / static_cast<double>(span.count());
}

BestFixed best_fixed(const World& world) {
  BestFixed best;
  for (const std::size_t maximum : maxima(world.curve->limit())) {
    const Log log = simulate(world, Scheduler(Triton{.max_batch_size = maximum}));
    const Figures figures = figures_of(world, log);
    if (maximum == 1 || better(figures, best.figures)) best = {maximum, figures};
  }
  return best;
}

Triton tuned_triton(const World& world) {
  using std::chrono::microseconds;
  Triton best;
  Figures figures;
  figures.diverges = true;
  figures.p99 = Duration::max();
  for (const std::size_t maximum : maxima(world.curve->limit())) {
    for (const Duration delay : {microseconds(0), microseconds(250), microseconds(1000)}) {
      for (const bool sizes : {false, true}) {
        Triton triton{.max_batch_size = maximum, .max_queue_delay = delay};
        if (sizes) triton.preferred = world.curve->records();
        const Figures found = figures_of(world, simulate(world, Scheduler(triton)));
        if (!better(found, figures)) continue;
        best = triton;
        figures = found;
      }
    }
  }
  return best;
}

std::string text_of(const Triton& triton) {
  return "max " + std::to_string(triton.max_batch_size) +
         (triton.preferred.empty() ? "" : ", preferred sizes") +
         (triton.max_queue_delay == Duration::zero()
              ? ""
              : ", delay " + std::to_string(triton.max_queue_delay.count() / 1000) + " us");
}

}  // namespace bench::sim
