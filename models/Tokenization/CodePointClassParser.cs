using System.Globalization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>Parses one code point, escape or bracketed class of a pre-tokenizer pattern.</summary>
internal sealed class CodePointClassParser(string source, string pattern, bool ignoreCase)
{
    private const uint AllCategories = (1u << 30) - 1;

    private readonly List<(int From, int To)> _ranges = [];
    private uint _categories;
    private bool _space;
    private bool _notSpace;

    public static CheckpointException Unsupported(string source, string pattern, int position) => new(source,
        $"the pre-tokenizer's pattern {CheckpointException.Quote(pattern)} has something at {position} that is not supported");

    public CodePointClass Parse(ref int position)
    {
        bool negated = false;
        if (Peek(position) != '[')
        {
            Item(ref position, inBrackets: false);
        }
        else
        {
            position++;
            negated = Peek(position) == '^';
            position += negated ? 1 : 0;
            do
            {
                Item(ref position, inBrackets: true);
            }
            while (Peek(position) != ']');
            position++;
        }
        return new CodePointClass([.. _ranges], _categories, _space, _notSpace, negated);
    }

    private void Item(ref int position, bool inBrackets)
    {
        char c = Peek(position);
        if (c == '\\' && Set(ref position))
        {
            return;
        }
        if (!inBrackets && c == '.')
        {
            position++;
            _ranges.Add((0, '\n' - 1));
            _ranges.Add(('\n' + 1, 0x10FFFF));
            return;
        }
        if (inBrackets ? c == '[' || (c == '&' && Peek(position + 1) == '&') : c is '*' or '+' or '?' or '{' or '^')
        {
            throw Unsupported(source, pattern, position);
        }
        int from = Literal(ref position);
        int to = from;
        if (inBrackets && Peek(position) == '-' && Peek(position + 1) != ']')
        {
            position++;
            to = Literal(ref position);
        }
        if (to < from)
        {
            throw Unsupported(source, pattern, position);
        }
        AddRange(from, to);
    }

    private void AddRange(int from, int to)
    {
        _ranges.Add((from, to));
        if (!ignoreCase)
        {
            return;
        }
        for (int letter = 'a'; letter <= 'z'; letter++)
        {
            int upper = letter - 'a' + 'A';
            if ((letter >= from && letter <= to) || (upper >= from && upper <= to))
            {
                _ranges.Add((letter, letter));
                _ranges.Add((upper, upper));
                int folded = letter == 's' ? 'ſ' : letter == 'k' ? '\u212A' : letter;
                _ranges.Add((folded, folded));
            }
        }
    }

    /// <summary>An escape that stands for many code points.</summary>
    private bool Set(ref int position)
    {
        switch (Peek(position + 1))
        {
            case 's': _space = true; break;
            case 'S': _notSpace = true; break;
            case 'd': _categories |= 1u << (int)UnicodeCategory.DecimalDigitNumber; break;
            case 'D': _categories |= AllCategories & ~(1u << (int)UnicodeCategory.DecimalDigitNumber); break;
            case 'p': _categories |= Categories(ref position); return true;
            case 'P': _categories |= AllCategories & ~Categories(ref position); return true;
            default: return false;
        }
        position += 2;
        return true;
    }

    /// <summary>The categories of <c>\p{L}</c>, <c>\p{Lu}</c> or <c>\pL</c>.</summary>
    private uint Categories(ref int position)
    {
        int begin = position + 2;
        int end = begin + 1;
        int after = end;
        if (Peek(begin) == '{')
        {
            begin++;
            end = pattern.IndexOf('}', begin);
            after = end + 1;
        }
        uint categories = end < 0 ? 0 : CategoriesOf(pattern.AsSpan(begin, end - begin));
        position = categories != 0 ? after : throw Unsupported(source, pattern, position);
        return categories;
    }

    /// <summary>The names' order is that of <see cref="UnicodeCategory"/>.</summary>
    private static uint CategoriesOf(ReadOnlySpan<char> name)
    {
        ReadOnlySpan<char> names = "LuLlLtLmLoMnMcMeNdNlNoZsZlZpCcCfCsCoPcPdPsPePiPfPoSmScSkSoCn";
        uint categories = 0;
        for (int i = 0; i < names.Length / 2; i++)
        {
            if (name.Length is 1 or 2 && names.Slice(2 * i, name.Length).SequenceEqual(name))
            {
                categories |= 1u << i;
            }
        }
        return categories;
    }

    private int Literal(ref int position)
    {
        char c = Peek(position++);
        if (c != '\\')
        {
            return char.IsHighSurrogate(c) && char.IsLowSurrogate(Peek(position)) ? char.ConvertToUtf32(c, pattern[position++]) : c;
        }
        char escaped = Peek(position++);
        return escaped switch
        {
            'r' => '\r',
            'n' => '\n',
            't' => '\t',
            'f' => '\f',
            'v' => '\v',
            _ when !char.IsAsciiLetterOrDigit(escaped) => escaped,
            _ => throw Unsupported(source, pattern, position),
        };
    }

    private char Peek(int position) => position < pattern.Length ? pattern[position] : throw Unsupported(source, pattern, position);
}
