using System.Text;

namespace LlamaServe.Models.Weights;

/// <summary>
/// A file of a model (weights, tokenizer, configuration) is missing, damaged or of a kind that is not supported.
/// The message starts with the file's name, never its folder, and names the tensor or key at fault.
/// </summary>
public sealed class CheckpointException : Exception
{
    private const int MaxQuotedLength = 96;

    /// <param name="fileName">Name of the file; a folder in front of it is cut off.</param>
    /// <param name="problem">What is wrong with it; begins in lower case.</param>
    public CheckpointException(string fileName, string problem, Exception? inner = null)
        : base($"{Path.GetFileName(fileName)}: {problem}", inner)
    {
    }

    /// <summary>A name out of an untrusted file, fit for an error message: quoted, shortened, without control characters.</summary>
    internal static string Quote(ReadOnlySpan<char> name)
    {
        StringBuilder text = new("'", MaxQuotedLength + 8);
        foreach (char c in name[..Math.Min(name.Length, MaxQuotedLength)])
        {
            text.Append(char.IsControl(c) ? '\uFFFD' : c);
        }
        return text.Append(name.Length > MaxQuotedLength ? "…'" : "'").ToString();
    }
}
