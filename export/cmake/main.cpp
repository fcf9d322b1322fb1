// ${name}: runs the stored samples and says PASS or FAIL, also by its exit status.

#include <stdio.h>
#include <time.h>

#include "${name}.h"
#include "${name}_samples.h"

namespace {

// Prints the class of the last run, or its value if the model has a single output.
void printAnswer() {
  if (${name}::kOutputSize == 1) {
    printf("%g", static_cast<double>(${name}::score(0)));
  } else {
    printf("%s", ${name}::kLabels[${name}::best()]);
  }
}

// Runs a stored sample and prints what came out. Returns whether it was as stored.
bool checkSample(size_t sample) {
  const char* error = ${name}::runSample(sample);
  printf("sample %u: ", static_cast<unsigned int>(sample));
  if (error != nullptr) {
    printf("%s\n", error);
    return false;
  }
  printAnswer();
  const size_t differences = ${name}::countDifferences(sample);
  if (differences > 0) {
    printf(", %u output values differ", static_cast<unsigned int>(differences));
  }
  printf("\n");
  return differences == 0;
}

// Prints the mean time of one inference: clocks of small systems are too coarse for a single one.
void printTime() {
  constexpr unsigned int kRuns = 100;
  const clock_t start = clock();
  for (unsigned int run = 0; run < kRuns; ++run) {
    ${name}::runSample(run % ${name}::kSampleCount);
  }
  const double seconds = static_cast<double>(clock() - start) / CLOCKS_PER_SEC;
  printf("time per inference: %.1f us\n", 1e6 * seconds / kRuns);
}

}  // namespace

int main() {
  const char* error = ${name}::begin();
  if (error != nullptr) {
    printf("FAIL: %s\n", error);
    return 1;
  }
  printf("arena: %u of %u bytes\n", static_cast<unsigned int>(${name}::arenaUsed()),
         static_cast<unsigned int>(${name}::kArenaSize));
  unsigned int failures = 0;
  for (size_t sample = 0; sample < ${name}::kSampleCount; ++sample) {
    failures += checkSample(sample) ? 0 : 1;
  }
  printTime();
  if (failures > 0) {
    printf("FAIL: %u samples differ\n", failures);
    return 1;
  }
  printf("PASS\n");
  return 0;
}
