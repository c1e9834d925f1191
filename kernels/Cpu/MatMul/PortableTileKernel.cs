using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// The tile kernels without run-time assembly, for every format and number of rows. The order of operations is that of the
/// assembled kernels, so both give the same bits (except BF16, which they round inside VDPBF16PS). Per block of columns the
/// weights are unpacked once for all rows of the tile.
/// </summary>
internal static unsafe class PortableTileKernel
{
    private const int PanelRows = PanelLayout.PanelRows;

    /// <summary>Runs the call; see <see cref="TileArguments"/>.</summary>
    public static void Run(TileArguments* call, WeightFormat format)
    {
        PanelLayout layout = PanelLayout.Of(format);
        float* sums = stackalloc float[TileKernel.MaxRows * PanelRows];
        byte* weights = call->Weights;
        for (long panel = 0; panel < call->Panels; panel++)
        {
            new Span<float>(sums, TileKernel.MaxRows * PanelRows).Clear();
            byte* activations = call->Activations;
            for (long step = 0; step < call->Steps; step++)
            {
                if (layout.Encoding is ActivationEncoding.Float32 or ActivationEncoding.BFloat16)
                {
                    AddFloatStep(format, layout, weights, activations, (int)call->Rows, sums);
                }
                else
                {
                    PortableInt8Step.Add(format, layout, weights, activations, (int)call->Rows, sums);
                }

                weights += layout.StepBytes;
                activations += layout.ActivationStepBytes * call->Rows;
            }

            Store(call, panel, sums);
        }
    }

    [SkipLocalsInit]
    private static void AddFloatStep(WeightFormat format, PanelLayout layout, byte* weights, byte* activations, int rows, float* sums)
    {
        float* widened = stackalloc float[32 * PanelRows];
        float* inputs = stackalloc float[32];
        WidenWeights(format, weights, widened);
        for (int row = 0; row < rows; row++)
        {
            WidenActivations(format, activations + row * layout.ActivationStepBytes, inputs);
            Vector256<float> low = Vector256.Load(sums + row * PanelRows), high = Vector256.Load(sums + row * PanelRows + 8);
            for (int column = 0; column < layout.StepColumns; column++)
            {
                Vector256<float> input = Vector256.Create(inputs[column]);
                low = Vector256.FusedMultiplyAdd(Vector256.Load(widened + column * PanelRows), input, low);
                high = Vector256.FusedMultiplyAdd(Vector256.Load(widened + column * PanelRows + 8), input, high);
            }

            Vector256.Store(low, sums + row * PanelRows);
            Vector256.Store(high, sums + row * PanelRows + 8);
        }
    }

    /// <summary>The step's weights as [columns][16 rows] of F32.</summary>
    private static void WidenWeights(WeightFormat format, byte* weights, float* widened)
    {
        switch (format)
        {
            case WeightFormat.F32:
                new Span<float>(weights, 16 * PanelRows).CopyTo(new Span<float>(widened, 16 * PanelRows));
                break;
            case WeightFormat.F16:
                for (int i = 0; i < 16 * PanelRows; i += 8)
                {
                    HalfVector.Widen((ushort*)weights + i).Store(widened + i);
                }

                break;
            default:
                for (int i = 0; i < 16 * PanelRows; i += 8)
                {
                    // A pair of columns lies in the halves of a row's 32 bits.
                    Vector256<uint> pairs = Vector256.Load((uint*)weights + i);
                    float* even = widened + i / PanelRows * 2 * PanelRows + i % PanelRows;
                    Vector256.Store((pairs << 16).AsSingle(), even);
                    Vector256.Store((pairs & Vector256.Create(0xFFFF0000u)).AsSingle(), even + PanelRows);
                }

                break;
        }
    }

    private static void WidenActivations(WeightFormat format, byte* activations, float* inputs)
    {
        if (format != WeightFormat.BF16)
        {
            new Span<float>(activations, 16).CopyTo(new Span<float>(inputs, 16));
            return;
        }

        for (int column = 0; column < 32; column++)
        {
            inputs[column] = BitConverter.UInt32BitsToSingle((uint)((ushort*)activations)[column] << 16);
        }
    }

    /// <summary>Adds bias and residual, in this order, and stores the rows of the panel that exist.</summary>
    private static void Store(TileArguments* call, long panel, float* sums)
    {
        long mask = panel == call->Panels - 1 ? call->LastPanelMask : 0xFFFF;
        long first = panel * PanelRows;
        for (long row = 0; row < call->Rows; row++)
        {
            float* output = (float*)((byte*)call->Output + row * call->OutputStride) + first;
            float* residual = call->Residual == null ? null : (float*)((byte*)call->Residual + row * call->ResidualStride) + first;
            for (int i = 0; (mask >> i & 1) != 0; i++)
            {
                float sum = sums[row * PanelRows + i];
                sum = call->Bias == null ? sum : sum + call->Bias[first + i];
                output[i] = residual == null ? sum : sum + residual[i];
            }
        }
    }
}
