using System.Diagnostics.CodeAnalysis;
using LlamaServe.Kernels;
using LlamaServe.Models.Quantization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Checkpoints;

/// <summary>Collects what is wrong with a checkpoint's tensors, so that one message can name the first few of many.</summary>
internal sealed class LayoutProblems(TensorArchive archive)
{
    private const int MaxListed = 5;

    private readonly HashSet<string> _known = [];
    private readonly List<string> _missing = [];
    private readonly List<string> _misshapen = [];
    private readonly List<string> _unserved = [];

    /// <summary>A tensor that is held as it is.</summary>
    public void CheckPlain(string name, long[] shape)
    {
        if (!Find(name, [shape], out TensorSource? tensor))
        {
            return;
        }
        if (tensor.Format is not { } format || format.HasSeparateScales())
        {
            _misshapen.Add($"{CheckpointException.Quote(name)} has type {tensor.TypeName}, expected F32, F16 or BF16");
        }
        else if (shape.Length == 1 && format.BlockElements() > 1)
        {
            _misshapen.Add($"{CheckpointException.Quote(name)} is a vector in {format}, expected F32, F16 or BF16");
        }
    }

    /// <summary>A quantized matrix [<paramref name="rows"/>, <paramref name="columns"/>].</summary>
    public void CheckQuantized(QuantizationScheme quantization, string module, int rows, int columns)
    {
        bool isComplete = true;
        foreach (RequiredTensor required in quantization.Tensors(module, rows, columns))
        {
            if (required.IsOptional && !archive.TryGet(required.Name, out _))
            {
                continue;
            }
            bool isFound = Find(required.Name, required.Shapes, out TensorSource? tensor);
            if (isFound && !required.Formats.Contains(tensor!.Format))
            {
                string expected = string.Join(" or ", required.Formats.Select(format => format?.ToString() ?? "I32"));
                _misshapen.Add($"{CheckpointException.Quote(required.Name)} has type {tensor.TypeName}, expected {expected}");
                isFound = false;
            }
            isComplete &= isFound;
        }
        if (isComplete && quantization.Problem(archive, module, rows, columns) is { } problem)
        {
            _unserved.Add($"{CheckpointException.Quote(module)}: {problem}");
        }
        // Quantizers of old wrote biases of zero for modules that have none.
        if (archive.TryGet(module + ".bias", out TensorSource? bias) && IsZero(bias))
        {
            _known.Add(bias.Name);
        }
    }

    /// <param name="isHarmless">Whether a tensor of no role may be left unread.</param>
    /// <exception cref="CheckpointException">There is a problem.</exception>
    public void Throw(string architecture, Func<string, bool> isHarmless)
    {
        IEnumerable<string> unknown = archive.Names.Where(name => !_known.Contains(name) && !isHarmless(name))
            .Order(StringComparer.Ordinal).Select(name => CheckpointException.Quote(name));
        Report("missing", _missing);
        Report("not as config says", _misshapen);
        Report("not served", _unserved);
        Report($"unknown to {architecture}", [.. unknown]);
    }

    private bool Find(string name, long[][] shapes, [NotNullWhen(true)] out TensorSource? tensor)
    {
        _known.Add(name);
        if (!archive.TryGet(name, out tensor))
        {
            _missing.Add(CheckpointException.Quote(name));
            return false;
        }
        long[] actual = tensor.Shape;
        if (!Array.Exists(shapes, shape => shape.AsSpan().SequenceEqual(actual)))
        {
            _misshapen.Add($"{CheckpointException.Quote(name)} has shape [{string.Join(", ", actual)}], expected [{string.Join(", ", shapes[0])}]");
            return false;
        }
        return true;
    }

    private void Report(string problem, List<string> tensors)
    {
        if (tensors.Count > 0)
        {
            string more = tensors.Count > MaxListed ? $" and {tensors.Count - MaxListed} more" : "";
            throw new CheckpointException(archive.FileName,
                $"{tensors.Count} tensors are {problem}: {string.Join("; ", tensors.Take(MaxListed))}{more}");
        }
    }

    private static unsafe bool IsZero(TensorSource tensor) =>
        tensor.ByteLength <= int.MaxValue && !new ReadOnlySpan<byte>((void*)tensor.Address, (int)tensor.ByteLength).ContainsAnyExcept((byte)0);
}
