package keras_distill

import android.content.Context
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.truncate
import kotlin.math.withSign
import org.tensorflow.lite.Interpreter

/**
 * ${summary} Made by keras_distill.
 *
 * Use it from one thread at a time, and close it when it is no longer needed.
 */
class ${class_name}(private val context: Context, threads: Int = 4) : AutoCloseable {

    private val interpreter = Interpreter(read(ASSET + ".tflite"), options(threads))
    private val input = buffer(INPUT_SIZE * INPUT_BYTES)
    private val output = buffer(OUTPUT_SIZE * OUTPUT_BYTES)

    /**
     * Returns the scores of one sample, as the Keras model would give them; LABELS names them.
     *
     * The values are those of shape ${input_shape}, the last axis first to change, scaled as in
     * training.
     */
    fun predict(values: FloatArray): FloatArray {
        require(values.size == INPUT_SIZE) {
            "The model takes " + INPUT_SIZE + " values, got " + values.size + "."
        }
        input.rewind()
        for (value in values) {
            input.${put}(quantize(value))
        }
        run()
        return FloatArray(OUTPUT_SIZE) { score() }
    }

    /** Returns the label of the highest score. */
    fun classify(values: FloatArray): String {
        val scores = predict(values)
        var best = 0
        for (index in scores.indices) {
            if (scores[index] > scores[best]) {
                best = index
            }
        }
        return LABELS[best]
    }

    /**
     * Runs ${sample_count} stored samples. Returns how many of them differ from what LiteRT's reference
     * kernels answered on a computer: 0 if the model works here.
     */
    fun selfCheck(): Int {
        val samples = read(ASSET + "_samples.bin")
        val answers = read(ASSET + "_answers.bin")
        var failures = 0
        for (sample in 0 until SAMPLE_COUNT) {
            input.rewind()
            for (position in 0 until INPUT_SIZE * INPUT_BYTES) {
                input.put(samples.get())
            }
            run()
            failures += if (agrees(answers)) 0 else 1
        }
        return failures
    }

    override fun close() {
        interpreter.close()
    }

    private fun run() {
        input.rewind()
        output.rewind()
        interpreter.run(input, output)
        output.rewind()
    }

    private fun agrees(answers: ByteBuffer): Boolean {
        var agrees = true
        for (index in 0 until OUTPUT_SIZE) {
            val difference = abs(output.${get}().toFloat() - answers.${get}().toFloat())
            // NaN doesn't agree.
            agrees = difference <= TOLERANCE && agrees
        }
        return agrees
    }

    private fun quantize(value: Float): ${input_kind} {
        ${quantize}
    }

    private fun score(): Float {
        val number = output.${get}()
        return ${score}
    }

    private fun read(asset: String): ByteBuffer {
        val bytes = context.assets.open(asset).use { it.readBytes() }
        val whole = buffer(bytes.size)
        whole.put(bytes)
        whole.rewind()
        return whole
    }

    private fun buffer(size: Int): ByteBuffer =
        ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())

    private fun options(threads: Int): Interpreter.Options {
        val options = Interpreter.Options()
        options.setNumThreads(threads)
        return options
    }

    companion object {
        const val INPUT_SIZE = ${input_size}
        const val OUTPUT_SIZE = ${output_size}

        /** Names of the classes, one per score. */
        val LABELS: List<String> = listOf(
${labels}
        )

        private const val ASSET = "${asset}"
        private const val INPUT_BYTES = ${input_bytes}
        private const val OUTPUT_BYTES = ${output_bytes}
        private const val SAMPLE_COUNT = ${sample_count}

        // The kernels of another processor may round differently by this much.
        private const val TOLERANCE = ${tolerance}
    }
}
