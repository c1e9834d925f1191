using System.Text;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// A compiled pre-tokenizer pattern. .NET's own regular expressions see UTF-16 units, so that <c>\p{L}</c> misses the
/// letters beyond U+FFFF; this matcher sees code points and counts its effort. It tries alternatives in order and
/// backtracks, as the pattern's authors expect. Only single code points repeat, never groups: a program has no cycle.
/// </summary>
internal sealed class SplitPattern
{
    private readonly Instruction[] _program;

    /// <param name="source">The file that the pattern is from, for errors.</param>
    public SplitPattern(string source, Instruction[] program)
    {
        Source = source;
        _program = program;
    }

    internal enum Operation
    {
        /// <summary>Takes <c>Min..Max</c> code points of the class, as many as possible first.</summary>
        Take,

        /// <summary>Goes on at the next instruction, and at <c>Target</c> when that fails.</summary>
        Try,

        /// <summary>Goes on at <c>Target</c>.</summary>
        Jump,

        /// <summary>Demands that a code point of the class follows.</summary>
        Followed,

        /// <summary>Demands that no code point of the class follows.</summary>
        NotFollowed,

        /// <summary>Demands the end of the text.</summary>
        End,

        /// <summary>The pattern matches.</summary>
        Match,
    }

    public string Source { get; }

    public static SplitPattern Parse(string source, string pattern) => new(source, new SplitPatternParser(source, pattern).Parse());

    /// <summary>UTF-16 units of the code point at a position; a lone surrogate counts as one.</summary>
    public static int CodePointLength(ReadOnlySpan<char> text, int position) =>
        char.IsHighSurrogate(text[position]) && position + 1 < text.Length && char.IsLowSurrogate(text[position + 1]) ? 2 : 1;

    /// <param name="effort">Goes down by the code points looked at; the match fails when it falls below zero.</param>
    /// <returns>The end of the match that begins at <paramref name="position"/>, or −1.</returns>
    public int Match(ReadOnlySpan<char> text, int position, ref long effort)
    {
        Span<(int Instruction, int Position, int Least)> retries = stackalloc (int, int, int)[_program.Length];
        int depth = 0;
        int at = 0;
        while (true)
        {
            ref readonly Instruction instruction = ref _program[at];
            bool matched = true;
            switch (instruction.Operation)
            {
                case Operation.Match:
                    return position;
                case Operation.Jump:
                    at = instruction.Target;
                    continue;
                case Operation.Try:
                    retries[depth++] = (instruction.Target, position, position);
                    break;
                case Operation.Take:
                    matched = Take(instruction, text, ref position, out int least, ref effort);
                    if (matched && position > least && !instruction.Possessive)
                    {
                        retries[depth++] = (at + 1, position, least);
                    }
                    break;
                case Operation.End:
                    matched = position == text.Length;
                    break;
                default:
                    bool follows = position < text.Length && instruction.Class!.Contains(CodePointAt(text, position, out _));
                    matched = follows == (instruction.Operation == Operation.Followed);
                    break;
            }
            at++;
            if (!matched && !Retry(text, retries, ref depth, ref at, ref position, ref effort))
            {
                return -1;
            }
        }
    }

    private static bool Take(in Instruction instruction, ReadOnlySpan<char> text, ref int position, out int least, ref long effort)
    {
        int begin = position;
        int count = 0;
        least = position;
        while (count < instruction.Max && position < text.Length
            && instruction.Class!.Contains(CodePointAt(text, position, out int length)))
        {
            position += length;
            count++;
            least = count <= instruction.Min ? position : least;
        }
        effort -= position - begin + 1;
        return count >= instruction.Min;
    }

    /// <summary>Takes up the latest choice that is left: another alternative, or one code point less of a repetition.</summary>
    private static bool Retry(ReadOnlySpan<char> text, Span<(int Instruction, int Position, int Least)> retries,
        ref int depth, ref int at, ref int position, ref long effort)
    {
        if (depth == 0 || --effort < 0)
        {
            return false;
        }
        ref (int Instruction, int Position, int Least) retry = ref retries[depth - 1];
        at = retry.Instruction;
        if (retry.Position > retry.Least)
        {
            bool pair = retry.Position - retry.Least >= 2 && char.IsLowSurrogate(text[retry.Position - 1]) && char.IsHighSurrogate(text[retry.Position - 2]);
            retry.Position -= pair ? 2 : 1;
        }
        position = retry.Position;
        depth -= retry.Position == retry.Least ? 1 : 0;
        return true;
    }

    private static int CodePointAt(ReadOnlySpan<char> text, int position, out int length)
    {
        char c = text[position];
        length = 1;
        if (!char.IsSurrogate(c))
        {
            return c;
        }
        length = CodePointLength(text, position);
        return length == 2 ? char.ConvertToUtf32(c, text[position + 1]) : Rune.ReplacementChar.Value;
    }

    /// <param name="Target">For <see cref="Operation.Try"/> and <see cref="Operation.Jump"/>.</param>
    /// <param name="Possessive">A <see cref="Operation.Take"/> never gives back what it took.</param>
    internal readonly record struct Instruction(
        Operation Operation, CodePointClass? Class = null, int Min = 1, int Max = 1, int Target = 0, bool Possessive = false);
}
